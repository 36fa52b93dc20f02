//! How a viewer comes to its first picture. How long that takes is measured by `make bench`.

use std::time::Instant;

use crate::browser::Browser;
use crate::child::PATIENCE;
use crate::manifest::manifest;
use crate::media;
use crate::program::Program;
use crate::proof::until_playable;
use crate::turn;

/// Connectivity checks of the page on the path that it uses, and answers to them.
const CHECKS: &str = "return window.dragonfork.peer.getStats().then(stats => {
    const used = [...stats.values()].find(pair => pair.type === 'candidate-pair' && pair.nominated);
    return [used?.requestsSent ?? 0, used?.responsesReceived ?? 0];
})";

#[tokio::test]
async fn every_check_of_chromium_is_answered_so_that_none_has_to_come_again() {
    let _turn = turn::shared().await;
    let program = Program::start().await;
    program.apply(&manifest("film").input("-re", media::long_film().display().to_string()));
    until_playable(&program, "film").await;
    let browser = Browser::start().await;
    browser.watch(&program, "film").await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        // One may be on its way.
        let seen = browser.run(CHECKS, Vec::new()).await;
        let (sent, answered) = (seen[0].as_u64(), seen[1].as_u64());
        if sent > Some(0) && sent == answered {
            return;
        }
        assert!(Instant::now() < deadline, "{sent:?} checks were sent, {answered:?} were answered");
    }
}
