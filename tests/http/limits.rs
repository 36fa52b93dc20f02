//! How often a client address may ask, and which address counts behind a proxy.

use std::net::IpAddr;

use dragonfork::http::{Limit, Limits};
use reqwest::Response;
use serde_json::json;

use super::house::{CHROMIUM, House, Wishes, playing, problem};

/// Limits that a test reaches, and that do not give way while it runs.
fn tight() -> Limits {
    let limit = Limit { burst: 3, per_minute: 1 };
    Limits { logins: limit, offers: limit }
}

async fn house(trusted: &[&str]) -> House {
    let trusted_proxies = trusted.iter().map(|network| network.parse().expect("a network")).collect();
    let house = House::new(Wishes { limits: tight(), trusted_proxies, ..Wishes::default() }).await;
    house.show(playing("cam"));
    house
}

/// POSTs an offer from this address of the machine, with these lines of X-Forwarded-For.
async fn offer_from(house: &House, local: &str, forwarded: &[&str]) -> Response {
    let local: IpAddr = local.parse().expect("an address");
    let http = reqwest::Client::builder().no_proxy().local_address(local).build().expect("a client");
    let mut request = http.post(house.url("/api/v3/whep/cam")).bearer_auth(house.token());
    for line in forwarded {
        request = request.header("x-forwarded-for", *line);
    }
    request.header("content-type", "application/sdp").body(CHROMIUM).send().await.expect("it is answered")
}

/// How many offers of ten get past the limit; the stream has no media, so those are 409.
async fn admitted(house: &House, local: &str, forwarded: impl Fn(usize) -> Vec<String>) -> usize {
    let mut admitted = 0;
    for number in 0..10 {
        let lines = forwarded(number);
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        match problem(offer_from(house, local, &lines).await).await {
            (409, _) => admitted += 1,
            refused => assert_eq!(refused, (429, "too_many_offers".into())),
        }
    }
    admitted
}

#[tokio::test]
async fn offers_of_one_address_are_limited_and_those_of_another_are_not() {
    let house = house(&[]).await;
    assert_eq!(admitted(&house, "127.0.0.1", |_| Vec::new()).await, 3);
    let refused = offer_from(&house, "127.0.0.1", &[]).await;
    let wait: u64 = refused.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!((50..=60).contains(&wait), "one a minute, not {wait} s");
    assert_eq!(problem(refused).await, (429, "too_many_offers".into()));
    assert_eq!(admitted(&house, "127.0.0.2", |_| Vec::new()).await, 3);
}

#[tokio::test]
async fn the_limit_comes_after_the_token_the_process_and_the_body() {
    let house = house(&[]).await;
    admitted(&house, "127.0.0.1", |_| Vec::new()).await;
    let without = house.bare("POST", "/api/v3/whep/cam").send().await.expect("it is answered");
    assert_eq!(problem(without).await, (401, "no_token".into()));
    assert_eq!(problem(house.offer("/api/v3/whep/nobody", CHROMIUM).await).await.0, 404);
    let typed = house.ask("POST", "/api/v3/whep/cam").header("content-type", "text/plain").body("x").send().await;
    assert_eq!(problem(typed.expect("it is answered")).await.0, 415);
    assert_eq!(problem(house.offer("/api/v3/whep/cam", " ").await).await.0, 400);
    assert_eq!(
        problem(house.offer("/api/v3/process/cam/whep", CHROMIUM).await).await.0,
        429,
        "the alias is no way around"
    );
}

#[tokio::test]
async fn nothing_but_post_is_limited() {
    let house = house(&[]).await;
    admitted(&house, "127.0.0.1", |_| Vec::new()).await;
    for _ in 0..20 {
        for (method, status) in [("HEAD", 200), ("OPTIONS", 200)] {
            let response = house.ask(method, "/api/v3/whep/cam").send().await.expect("it is answered");
            assert_eq!(response.status(), status);
        }
        let ended = house.ask("DELETE", "/api/v3/whep/cam/gone").send().await.expect("it is answered");
        assert_eq!(ended.status(), 204);
    }
}

#[tokio::test]
async fn a_forwarding_header_of_a_stranger_does_not_help() {
    let house = house(&["127.0.0.9/32"]).await;
    let forged = |number: usize| vec![format!("203.0.113.{number}")];
    assert_eq!(admitted(&house, "127.0.0.1", forged).await, 3);
}

#[tokio::test]
async fn a_trusted_proxy_tells_clients_apart_and_what_they_forge_does_not_help() {
    let house = house(&["127.0.0.9/32", "10.0.0.0/8"]).await;
    assert_eq!(admitted(&house, "127.0.0.9", |number| vec![format!("203.0.113.{number}")]).await, 10);
    let forged = |number: usize| vec![format!("198.51.100.{number}, 192.0.2.1")];
    assert_eq!(admitted(&house, "127.0.0.9", forged).await, 3, "the client wrote all but the last");
    let two_proxies = |number: usize| vec![format!("198.51.100.{number}"), "192.0.2.2, 10.1.2.3".into()];
    assert_eq!(admitted(&house, "127.0.0.9", two_proxies).await, 3);
}

#[tokio::test]
async fn an_ipv6_network_of_a_client_is_one_client() {
    let house = house(&["127.0.0.9/32"]).await;
    assert_eq!(admitted(&house, "127.0.0.9", |number| vec![format!("2001:db8::{number}")]).await, 3);
    assert_eq!(
        admitted(&house, "127.0.0.9", |number| vec![format!("2001:db8:0:{number}::1")]).await,
        9,
        "one is known"
    );
}

#[tokio::test]
async fn logins_behind_a_trusted_proxy_are_limited_by_client() {
    let house = house(&["127.0.0.1/32"]).await;
    let login = |password: &'static str, client: &'static str| {
        let request = house.bare("POST", "/api/login").header("x-forwarded-for", client);
        request.json(&json!({ "username": "admin", "password": password })).send()
    };
    for _ in 0..3 {
        assert_eq!(problem(login("wrong", "203.0.113.7").await.expect("it is answered")).await.0, 401);
    }
    let refused = login("hunter22", "203.0.113.7").await.expect("it is answered");
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(problem(refused).await, (429, "too_many_logins".into()), "guessing goes on in vain");
    assert_eq!(login("hunter22", "203.0.113.8").await.expect("it is answered").status(), 200);
}

#[tokio::test]
async fn a_class_behind_one_address_joins_at_once_by_default() {
    let house = House::new(Wishes::default()).await;
    house.show(playing("cam"));
    for _ in 0..250 {
        assert_eq!(problem(house.offer("/api/v3/whep/cam", CHROMIUM).await).await.0, 409);
    }
}
