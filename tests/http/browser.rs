//! Headless Chromium, driven by chromedriver.

use std::time::{Duration, Instant};

use fantoccini::Locator;
use serde_json::Value;

use super::chromium::Chromium;
use super::house::PATIENCE;

/// A browser whose page is looked at and clicked.
pub struct Browser(Chromium);

impl Browser {
    pub async fn start(flags: &[&str]) -> Self {
        let flags = [&["--window-size=1200,900"], flags].concat();
        Self(Chromium::start(&flags).await)
    }

    pub async fn open(&self, address: &str) {
        self.0.client.goto(address).await.expect("the page opens");
    }

    /// What an expression of the page's script is.
    pub async fn value(&self, expression: &str) -> Value {
        let value = self.0.client.execute(&format!("return {expression}"), Vec::new()).await;
        value.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Waits until an expression of the page's script is true.
    pub async fn until(&self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.value(&format!("Boolean({expression})")).await.as_bool().expect("a boolean") {
            if Instant::now() > deadline {
                let seen = self.value("document.body.innerText").await;
                panic!("{expression} is not true; the page says {seen}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn text(&self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({selector:?})?.textContent ?? ''")).await;
        text.as_str().expect("text").trim().to_owned()
    }

    pub async fn click(&self, selector: &str) {
        self.0.client.find(Locator::Css(selector)).await.expect(selector).click().await.expect(selector);
    }

    pub async fn write(&self, selector: &str, text: &str) {
        let field = self.0.client.find(Locator::Css(selector)).await.expect(selector);
        field.clear().await.expect(selector);
        field.send_keys(text).await.expect(selector);
    }
}
