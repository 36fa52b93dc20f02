use std::time::Instant;

use dragonfork::sessions::Active;

use super::put;
use crate::house::{House, Wishes};

const PLAYLIST: &str = "#EXTM3U\n#EXTINF:2,\ncam_1.m4s\n#EXTINF:2,\ncam_2.m4s\n";

async fn house(wishes: Wishes) -> House {
    let house = House::new(Wishes { webrtc: false, ..wishes }).await;
    put(&house, "/memfs/cam.m3u8", PLAYLIST).await;
    for segment in ["1", "2"] {
        put(&house, &format!("/memfs/cam_{segment}.m4s"), "x".repeat(1000)).await;
    }
    house
}

async fn load(house: &House, path: &str, client: &str, agent: &str) {
    let request = house.bare("GET", path).header("x-forwarded-for", client).header("user-agent", agent);
    let response = request.send().await.expect("it is answered");
    response.bytes().await.expect("it has a body");
}

fn active(house: &House) -> Vec<Active> {
    house.sessions.lock().expect("nothing panics").active(Instant::now())
}

#[tokio::test]
async fn viewers_are_counted_by_address_and_player_with_their_octets() {
    let house =
        house(Wishes { trusted_proxies: vec!["127.0.0.0/8".parse().expect("a network")], ..Wishes::default() }).await;
    for (client, agent) in [("192.0.2.1", "A"), ("192.0.2.1", "B"), ("192.0.2.2", "A"), ("192.0.2.2", "A")] {
        for path in ["/memfs/cam.m3u8", "/memfs/cam_1.m4s", "/memfs/cam_2.m4s"] {
            load(&house, path, client, agent).await;
        }
    }
    let active = active(&house);
    assert_eq!(active.len(), 4, "{active:#?}");
    let octets: u64 = active.iter().map(|session| session.octets.sent).sum();
    assert_eq!(octets, 4 * (2000 + PLAYLIST.len() as u64));
    assert!(active.iter().all(|session| session.reference == "cam" && session.local == "/memfs/cam.m3u8"));
}

#[tokio::test]
async fn a_client_that_names_another_address_itself_stays_who_it_is() {
    let house = house(Wishes::default()).await;
    for client in ["192.0.2.1", "192.0.2.2"] {
        load(&house, "/memfs/cam.m3u8", client, "A").await;
        load(&house, "/memfs/cam_1.m4s", client, "A").await;
    }
    let active = active(&house);
    assert!(active.iter().all(|session| session.remote.is_loopback()), "{active:#?}");
}

#[tokio::test]
async fn clients_that_are_ignored_and_heads_do_not_count() {
    let house = house(Wishes { ignored: vec!["127.0.0.0/8".parse().expect("a network")], ..Wishes::default() }).await;
    load(&house, "/memfs/cam.m3u8", "", "A").await;
    load(&house, "/memfs/cam_1.m4s", "", "A").await;
    assert_eq!(active(&house), []);
    let house = self::house(Wishes::default()).await;
    load(&house, "/memfs/cam.m3u8", "", "A").await;
    house.bare("HEAD", "/memfs/cam_1.m4s").send().await.expect("it is answered");
    assert_eq!(active(&house), []);
}
