//! Every route, and with it what the description of the interface says of it.

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, options};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{
    App, about, files, login, measure, openapi, page, process, prometheus, session, settings, skills, system, whep,
    worker,
};
use process::{Id, change, metadata, probe};

/// What is served.
#[derive(Clone, Copy)]
pub struct Served {
    /// Routes that change something are not.
    pub read_only: bool,
    /// Figures for Prometheus are.
    pub metrics: bool,
    /// `/worker` is.
    pub worker: bool,
}

/// The routes, and their description.
pub fn routes(served: Served) -> (Router<Arc<App>>, OpenApi) {
    let mut routes = reading();
    if !served.read_only {
        routes = routes.merge(changing());
    }
    if served.metrics {
        routes = routes.routes(routes!(prometheus::metrics));
    }
    let (mut routes, described) = routes.split_for_parts();
    if served.worker {
        routes = routes.route("/worker", get(worker::show).put(worker::put));
    }
    let endpoint = options(whep::endpoint_options).get(whep::endpoint).post(whep::offer);
    let session = options(whep::session_options).get(whep::session).patch(whep::patch).delete(whep::delete);
    let routes = routes
        .route("/", get(page::page))
        .route("/api/openapi.json", get(openapi::description))
        .route("/api/swagger", get(openapi::to_page))
        .route("/api/swagger/", get(openapi::to_page))
        .route("/api/swagger/{file}", get(openapi::page))
        // The alias of WHEP: its description is that of its own name.
        .route("/api/v3/process/{id}/whep", endpoint)
        .route("/api/v3/process/{id}/whep/{resource}", session);
    (routes, openapi::complete(described))
}

fn reading() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(about::ping))
        .routes(routes!(about::about))
        .routes(routes!(login::login))
        .routes(routes!(login::refresh))
        .routes(routes!(process::list))
        .routes(routes!(process::one))
        .routes(routes!(process::config))
        .routes(routes!(process::state))
        .routes(routes!(process::report))
        .routes(routes!(process::log))
        .routes(routes!(probe::of_process))
        .routes(routes!(process::problems))
        .routes(routes!(metadata::process_all))
        .routes(routes!(metadata::process_get))
        .routes(routes!(metadata::global_all))
        .routes(routes!(metadata::global_get))
        .routes(routes!(measure::describe, measure::query))
        .routes(routes!(session::summary))
        .routes(routes!(session::active))
        .routes(routes!(skills::show))
        .routes(routes!(skills::reload))
        .routes(routes!(settings::show))
        .routes(routes!(system::log))
        .routes(routes!(system::rtmp))
        .routes(routes!(system::srt))
        .routes(routes!(system::widget))
        .routes(routes!(files::api::names))
        .routes(routes!(files::api::list))
        .routes(routes!(files::api::file))
        .routes(routes!(files::memory, files::write_memory, files::remove_memory))
        .routes(routes!(whep::endpoint, whep::endpoint_options, whep::offer))
        .routes(routes!(whep::session, whep::session_options, whep::patch, whep::delete))
}

fn changing() -> OpenApiRouter<Arc<App>> {
    // A process may have the word of this path for its id.
    let probe = get(|app, access, query| process::one(app, access, Id::path("probe"), query))
        .put(|app, access, headers, body| change::update(app, access, Id::path("probe"), headers, body))
        .delete(|app, access| change::delete(app, access, Id::path("probe")));
    OpenApiRouter::new()
        .routes(routes!(probe::of_body))
        .route("/api/v3/process/probe", probe)
        .routes(routes!(change::create))
        .routes(routes!(change::update, change::delete))
        .routes(routes!(change::command))
        .routes(routes!(metadata::process_put))
        .routes(routes!(metadata::global_put))
        .routes(routes!(settings::change))
        .routes(routes!(settings::reload))
        .routes(routes!(files::api::write, files::api::remove))
}
