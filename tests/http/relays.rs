//! `Link` headers that name TURN servers, with credentials for those who may watch.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine;
use dragonfork::http::TurnAuth;
use dragonfork::http::token::{Purpose, Scope, Words};
use reqwest::Response;

use super::house::{CHROMIUM, House, Wishes, playing, start_source};

const LIFETIME: u64 = 3_600;
const STUN: &str = "<stun:stun.example.com:3478>; rel=\"ice-server\"";

async fn house(auth: bool) -> House {
    let turn_auth = TurnAuth::Shared { secret: "north".into(), lifetime: Duration::from_secs(LIFETIME) };
    House::new(Wishes { auth, turn_auth: Some(turn_auth), ..Wishes::default() }).await
}

fn links(response: &Response) -> Vec<&str> {
    response.headers().get_all("link").iter().map(|link| link.to_str().expect("text")).collect()
}

/// A parameter of a link.
fn parameter<'a>(link: &'a str, name: &str) -> &'a str {
    let after = link.split(&format!("; {name}=\"")).nth(1).unwrap_or_default();
    after.split('"').next().unwrap_or_default()
}

/// Proves that a link opens the relay, as the relay would; the name in it.
fn prove(link: &str) -> String {
    assert!(link.starts_with("<turn:turn.example.com?transport=udp>; rel=\"ice-server\"; "), "{link}");
    assert_eq!(parameter(link, "credential-type"), "password");
    let name = parameter(link, "username");
    let (expiry, id) = name.split_once(':').expect("it has an expiry and an id");
    let left = expiry.parse::<u64>().expect("seconds")
        - SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later").as_secs();
    assert!((LIFETIME - 60..=LIFETIME).contains(&left) && !id.is_empty(), "{name}");
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"north");
    let password = base64::engine::general_purpose::STANDARD.decode(parameter(link, "credential")).expect("base64");
    hmac::verify(&key, name.as_bytes(), &password).expect("it is made with the secret");
    name.to_owned()
}

#[tokio::test]
async fn whep_025_an_answer_names_relays_with_credentials_of_their_own_for_each_player() {
    let house = house(true).await;
    let _source = start_source(house.open("cam").await);
    let mut names = Vec::new();
    for _ in 0..2 {
        let response = house.offer_until_media("/api/v3/whep/cam", CHROMIUM).await;
        assert_eq!(response.status(), 201);
        let links = links(&response);
        assert_eq!((links.len(), links[0]), (2, STUN), "one header for each server");
        names.push(prove(links[1]));
    }
    assert_ne!(names[0], names[1]);
}

#[tokio::test]
async fn whep_026_options_name_relays_to_those_who_may_watch_and_not_on_a_preflight() {
    let house = house(true).await;
    house.show(playing("cam"));
    let path = "/api/v3/whep/cam";
    let asked = house.ask("OPTIONS", path).send().await.expect("it is answered");
    assert_eq!(links(&asked)[0], STUN);
    prove(links(&asked)[1]);
    let in_url = format!("{path}?token={}", house.token());
    prove(links(&house.bare("OPTIONS", &in_url).send().await.expect("it is answered"))[1]);

    let scope = Scope { process: Some(Words::One("door".into())), action: Some(Words::One("play".into())) };
    let other = house.mint(Purpose::Access, 60, scope);
    for request in [house.bare("OPTIONS", path), house.bare("OPTIONS", path).bearer_auth(other)] {
        let response = request.send().await.expect("it is answered");
        assert_eq!((response.status().as_u16(), links(&response)), (200, vec![STUN]), "no relay for a stranger");
    }
    let preflight = house.ask("OPTIONS", path).header("access-control-request-method", "POST").send().await;
    assert!(links(&preflight.expect("it is answered")).is_empty());
}

#[tokio::test]
async fn without_authentication_everybody_is_told_of_the_relays() {
    let house = house(false).await;
    prove(links(&house.bare("OPTIONS", "/api/v3/whep/cam").send().await.expect("it is answered"))[1]);
}

#[tokio::test]
async fn a_fixed_name_and_password_are_told_as_they_are() {
    let turn_auth = TurnAuth::Fixed { username: "viewer".into(), password: "wind".into() };
    let house = House::new(Wishes { turn_auth: Some(turn_auth), ..Wishes::default() }).await;
    let response = house.ask("OPTIONS", "/api/v3/whep/cam").send().await.expect("it is answered");
    let link = links(&response)[1];
    assert_eq!((parameter(link, "username"), parameter(link, "credential")), ("viewer", "wind"));
}
