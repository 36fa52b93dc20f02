//! Files over HTTP: the memory filesystem, the disk directory, and both with a token.

mod api;
mod reading;
mod watching;
mod writing;

use reqwest::{RequestBuilder, Response};

use super::house::House;

/// A request of somebody who may write below `/memfs`.
fn writer(house: &House, method: &str, path: &str) -> RequestBuilder {
    house.bare(method, path).basic_auth("writer", Some("hunter23"))
}

pub async fn put(house: &House, path: &str, body: impl Into<reqwest::Body>) -> u16 {
    let response = writer(house, "PUT", path).body(body).send().await.expect("it is answered");
    response.status().as_u16()
}

async fn get(house: &House, path: &str) -> Response {
    house.bare("GET", path).send().await.expect("it is answered")
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}
