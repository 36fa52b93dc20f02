use super::*;

const IDLE: Duration = Duration::from_secs(30);

struct Bench {
    sessions: Sessions,
    begin: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { sessions: Sessions::new(IDLE), begin: Instant::now() }
    }

    fn now(&self, second: u64) -> Now {
        Now { instant: self.begin + Duration::from_secs(second), unix: 1000 + second }
    }

    fn playlist<'a>(&mut self, who: &str, playlist: &str, references: &[&'a str], second: u64) -> Option<Arc<Tally>> {
        let now = self.now(second);
        let named = |uri: &'a str| Reference { uri, is_segment: !uri.contains("init") };
        self.sessions.handle_playlist(look(who), &name(playlist), references.iter().copied().map(named), now)
    }

    /// Loads a file of 1000 octets.
    fn load(&mut self, who: &str, file: &str, second: u64) {
        let now = self.now(second);
        if let Some(tally) = self.sessions.handle_load(look(who), &name(file), 0, now) {
            tally.sent.fetch_add(1000, Ordering::Relaxed);
        }
    }

    fn active(&mut self, second: u64) -> Vec<Active> {
        let now = self.now(second).instant;
        self.sessions.active(now)
    }

    fn summary(&mut self, second: u64) -> Summary {
        let now = self.now(second).instant;
        self.sessions.summary(now)
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).expect("a name")
}

fn look(who: &str) -> Look {
    Look { address: "192.0.2.1".parse().expect("an address"), agent: who.into() }
}

#[test]
fn c164_a_session_without_media_is_gone_soon_and_one_with_media_counts() {
    let mut bench = Bench::new();
    let tally = bench.playlist("a", "/memfs/cam.m3u8", &["1.ts", "2.ts"], 0).expect("it is counted");
    tally.sent.fetch_add(200, Ordering::Relaxed);
    assert_eq!(bench.active(1), []);
    assert_eq!(bench.active(6), []);
    assert_eq!(bench.summary(6).total, Total::default(), "it never was one");
    bench.playlist("a", "/memfs/cam.m3u8", &["1.ts", "2.ts"], 10);
    bench.load("a", "/memfs/1.ts", 11);
    let active = bench.active(12);
    assert_eq!(active.len(), 1);
    let Active { id: _, reference, created_at, local, remote, agent, octets, received_rate, sent_rate } = &active[0];
    assert_eq!((reference.as_str(), local.as_str(), agent.as_str()), ("cam", "/memfs/cam.m3u8", "a"));
    assert_eq!((*created_at, remote.to_string()), (1010, "192.0.2.1".into()));
    assert_eq!(*octets, Octets { received: 0, sent: 1000 });
    assert!(*received_rate == 0.0 && *sent_rate == 4000.0, "{sent_rate}");
    assert_eq!(bench.active(40).len(), 1);
    assert_eq!(bench.active(41), []);
    assert_eq!(bench.summary(50).reference["cam"], Total { sessions: 1, octets: Octets { received: 0, sent: 1000 } });
}

#[test]
fn segments_of_every_kind_count_alike() {
    for segments in [["1.ts", "2.ts"], ["1.m4s", "2.m4s"], ["1.mp4", "2.mp4"], ["1.aac", "2.aac"]] {
        let mut bench = Bench::new();
        bench.playlist("a", "/cam.m3u8", &segments, 0);
        bench.load("a", &format!("/{}", segments[0]), 0);
        bench.load("a", &format!("/{}", segments[1]), 2);
        let active = bench.active(3);
        assert_eq!(active.len(), 1);
        assert_eq!(active[0].octets.sent, 2000);
    }
}

#[test]
fn viewers_that_look_the_same_are_told_apart_by_what_they_load() {
    let mut bench = Bench::new();
    for second in [0, 2, 4, 6] {
        let segments = [format!("{second}.ts")];
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        for _ in 0..3 {
            bench.playlist("browser", "/cam.m3u8", &segments, second);
            bench.load("browser", &format!("/{second}.ts"), second);
        }
    }
    let active = bench.active(7);
    assert_eq!(active.iter().map(|session| session.octets.sent).collect::<Vec<_>>(), [4000, 4000, 4000]);
    // Two leave, and are forgotten when they have been idle for long enough.
    for second in (8..36).step_by(2) {
        bench.playlist("browser", "/cam.m3u8", &[&format!("{second}.ts")], second);
        bench.load("browser", &format!("/{second}.ts"), second);
    }
    assert_eq!(bench.active(35).len(), 3);
    assert_eq!(bench.active(36).len(), 1);
    assert_eq!(bench.summary(40).total, Total { sessions: 3, octets: Octets { received: 0, sent: 26_000 } });
}

#[test]
fn a_viewer_of_a_master_playlist_is_one_whatever_it_chooses() {
    let mut bench = Bench::new();
    bench.playlist("a", "/cam.m3u8", &["hd/live.m3u8", "sd/live.m3u8"], 0);
    bench.playlist("a", "/hd/live.m3u8", &["1.ts", "2.ts"], 0);
    bench.load("a", "/hd/1.ts", 0);
    bench.playlist("a", "/sd/live.m3u8", &["1.ts", "2.ts"], 1);
    bench.load("a", "/sd/2.ts", 2);
    let active = bench.active(3);
    assert_eq!(active.len(), 1, "{active:#?}");
    assert_eq!(active[0].local, "/cam.m3u8");
}

#[test]
fn streams_and_clients_are_told_apart() {
    let mut bench = Bench::new();
    bench.playlist("a", "/one.m3u8", &["1.ts"], 0);
    bench.playlist("a", "/two.m3u8", &["2.ts"], 0);
    bench.load("a", "/1.ts", 0);
    bench.load("a", "/2.ts", 0);
    bench.load("b", "/2.ts", 0);
    assert_eq!(bench.active(1).len(), 3);
    assert_eq!(bench.summary(1).local["/two.m3u8"].sessions, 2);
}

#[test]
fn ranges_of_one_file_are_loads_of_their_own() {
    let mut bench = Bench::new();
    bench.playlist("a", "/film.m3u8", &["film.mp4"], 0);
    let now = bench.now(0);
    for from in [0, 1000, 2000] {
        bench.sessions.handle_load(look("a"), &name("/film.mp4"), from, now);
    }
    assert_eq!(bench.active(1).len(), 1);
    bench.sessions.handle_load(look("a"), &name("/film.mp4"), 1000, now);
    assert_eq!(bench.active(1).len(), 2);
}

#[test]
fn what_no_playlist_names_is_no_session() {
    let mut bench = Bench::new();
    bench.load("a", "/picture.jpg", 0);
    bench.playlist("a", "/cam.m3u8", &["http://elsewhere/1.ts", "cam.m3u8"], 0);
    bench.load("a", "/1.ts", 0);
    assert_eq!(bench.active(1), []);
}

#[test]
fn a_playlist_in_a_circle_ends_nothing() {
    let mut bench = Bench::new();
    bench.playlist("a", "/a.m3u8", &["b.m3u8"], 0);
    bench.playlist("a", "/b.m3u8", &["a.m3u8", "1.ts"], 0);
    bench.load("a", "/1.ts", 0);
    assert_eq!(bench.active(1).len(), 1);
}

#[test]
fn a_client_that_loads_one_file_for_ever_does_not_fill_the_memory() {
    let mut bench = Bench::new();
    bench.playlist("a", "/cam.m3u8", &["1.ts"], 0);
    let now = bench.now(0);
    for _ in 0..MAX_SESSIONS + 10 {
        bench.sessions.handle_load(look("a"), &name("/1.ts"), 0, now);
    }
    assert_eq!(bench.active(1).len(), MAX_SESSIONS);
    assert!(bench.playlist("b", "/cam.m3u8", &["1.ts"], 1).is_none());
    assert_eq!(bench.active(40), []);
    assert!(bench.playlist("b", "/cam.m3u8", &["1.ts"], 40).is_some());
}

#[test]
fn a_file_that_was_loaded_long_ago_may_be_loaded_again() {
    let mut bench = Bench::new();
    bench.playlist("a", "/film.m3u8", &["1.ts", "2.ts"], 0);
    bench.load("a", "/1.ts", 0);
    bench.load("a", "/2.ts", 20);
    bench.load("a", "/1.ts", 40);
    assert_eq!(bench.active(41).len(), 1);
}

#[test]
fn an_initialization_section_may_be_loaded_again_and_again_and_its_octets_count() {
    let mut bench = Bench::new();
    bench.playlist("a", "/cam.m3u8", &["init.mp4", "1.m4s", "2.m4s"], 0);
    for second in 1..3 {
        bench.load("a", "/init.mp4", second);
        bench.load("a", "/init.mp4", second);
        bench.load("a", &format!("/{second}.m4s"), second);
    }
    let active = bench.active(3);
    assert_eq!(active.iter().map(|session| session.octets.sent).collect::<Vec<_>>(), [6000]);
    bench.playlist("b", "/cam.m3u8", &["init.mp4", "1.m4s", "2.m4s"], 3);
    bench.load("b", "/init.mp4", 3);
    assert_eq!(bench.active(3).len(), 1, "without a segment nobody watches");
}
