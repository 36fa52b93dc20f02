//! The client of the API server, with its requests counted.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::http::{Request, Response};
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tower::layer::layer_fn;
use tower::{BoxError, Service};

use super::figures::Figures;

/// A client whose requests are counted by method and code. It tries nothing again by itself: a process is tried again as a
/// whole, and a lease must not be asked for after it is over.
pub fn counted(mut config: Config, figures: &Figures) -> kube::Result<Client> {
    config.default_retry = false;
    let figures = figures.clone();
    let layer = layer_fn(move |inner| Counted { inner, figures: figures.clone() });
    Ok(ClientBuilder::try_from(config)?.with_layer(&layer).build())
}

/// Counts what goes through it.
#[derive(Clone)]
struct Counted<S> {
    inner: S,
    figures: Figures,
}

impl<S, B> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
    B: 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (method, figures) = (request.method().to_string(), self.figures.clone());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let code =
                answer.as_ref().map_or_else(|_| "<error>".to_owned(), |answer| answer.status().as_u16().to_string());
            figures.requested(method, code);
            answer
        })
    }
}
