//! Who watches: as sessions, on the widget, and as figures.

use dragonfork::http::token::{Purpose, Scope, Words};
use serde_json::{Value, json};

use super::files::put;
use super::house::{House, PATIENCE, Wishes, receive, start_source};
use super::receiver::Receiver;

/// The figure of a line of OpenMetrics text that begins so.
async fn figure(house: &House, begin: &str) -> f64 {
    let text = house.bare("GET", "/metrics").send().await.expect("it is answered").text().await.expect("text");
    let line = text.lines().find(|line| line.starts_with(begin)).unwrap_or_else(|| panic!("no {begin} in\n{text}"));
    line.rsplit(' ').next().and_then(|number| number.parse().ok()).expect("a number")
}

#[tokio::test]
async fn a_viewer_is_a_session_with_what_it_was_sent() {
    let house = House::new(Wishes::default()).await;
    let _source = start_source(house.open("cam").await);
    let mut viewer = Receiver::new().await;
    let response = house.offer_until_media("/api/v3/whep/cam", viewer.watcher.offer()).await;
    let location = response.headers()["location"].to_str().expect("text").to_owned();
    let answer = response.text().await.expect("SDP");
    receive(&mut viewer, &answer).await;

    let active = house.get("/api/v3/session/active?collectors=whep,hls").await;
    assert_eq!(active["hls"], json!([]));
    let session = &active["whep"][0];
    assert_eq!((&session["reference"], &active["whep"][1]), (&json!("cam"), &Value::Null));
    assert!(session["bytes_tx"].as_u64().is_some_and(|octets| octets > 0), "{session}");
    assert!(session["remote"].as_str().is_some_and(|remote| remote.starts_with("127.0.0.1:")), "{session}");
    let id = session["id"].as_str().expect("text");
    assert!(id.len() < 16 && location.contains(id), "the id tells sessions apart and opens none: {id}");
    let summary = house.get("/api/v3/session").await;
    assert_eq!(
        (&summary["whep"]["active"]["sessions"], &summary["whep"]["active"]["max_sessions"]),
        (&json!(1), &json!(8))
    );
    let widget = house.get("/api/v3/widget/process/cam").await;
    assert_eq!((&widget["current_sessions"], &widget["total_sessions"]), (&json!(1), &json!(1)));
    assert_eq!(figure(&house, "dragonfork_viewers ").await, 1.0);
    assert!(figure(&house, "dragonfork_gateway_sent_packets_total ").await > 0.0);

    assert_eq!(house.ask("DELETE", &location).send().await.expect("it is answered").status(), 200);
    let deadline = std::time::Instant::now() + PATIENCE;
    while house.get("/api/v3/session/active").await != json!({"hls": [], "whep": []}) {
        assert!(std::time::Instant::now() < deadline, "the session stays");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let widget = house.get("/api/v3/widget/process/cam").await;
    assert_eq!((&widget["current_sessions"], &widget["total_sessions"]), (&json!(0), &json!(1)));
    assert!(figure(&house, "dragonfork_gateway_sent_packets_total ").await > 0.0, "what was sent stays counted");
}

#[tokio::test]
async fn who_may_read_one_process_sees_nobody_who_watches_files() {
    let house = House::new(Wishes::default()).await;
    put(&house, "/memfs/cam.m3u8", "#EXTM3U\n#EXTINF:2,\ncam_1.ts\n").await;
    put(&house, "/memfs/cam_1.ts", "film").await;
    for path in ["/memfs/cam.m3u8", "/memfs/cam_1.ts"] {
        house.bare("GET", path).send().await.expect("it is answered").bytes().await.expect("octets");
    }
    let all = house.get("/api/v3/session").await;
    assert_eq!((&all["hls"]["active"]["sessions"], &all["whep"]["active"]["sessions"]), (&json!(1), &json!(0)));
    assert_eq!(all["hls"]["summary"]["reference"]["cam"]["sessions"], 1);
    let words = |word: &str| Some(Words::Many(vec![word.to_owned()]));
    let token = house.mint(Purpose::Access, 60, Scope { process: words("cam"), action: words("read") });
    for (query, expected) in [("", json!({"whep": []})), ("?collectors=hls", json!({"hls": []}))] {
        let request = house.bare("GET", &format!("/api/v3/session/active{query}")).bearer_auth(&token);
        let active: Value = request.send().await.expect("it is answered").json().await.expect("JSON");
        assert_eq!(active, expected, "{query}");
    }
}
