//! WHEP, datarhei Core's API, login and JWT, the player page, and the one place where errors become HTTP.
//!
//! [`router`] makes the whole surface from a [`Config`], [`serve`] puts it on a listener. Every response, errors too,
//! carries CORS headers; everything below `/api/v3` needs a token first.
//!
//! This room never knows how media gets to viewers nor how a process is changed: it asks [`crate::whep::Client`] and
//! [`crate::core::Client`], and shows the controller's snapshot.

mod about;
mod access;
mod body;
mod client;
mod compress;
mod cors;
mod files;
mod forward;
mod ice;
pub mod jwks;
mod login;
mod measure;
mod openapi;
mod page;
mod path;
mod problem;
mod process;
mod prometheus;
mod routes;
mod serve;
mod session;
mod settings;
mod skills;
mod system;
mod throttle;
pub mod token;
mod whep;
mod worker;

use std::num::NonZero;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use ipnet::IpNet;
use tokio::sync::watch;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use utoipa::openapi::OpenApi;

use crate::controller::{self, Snapshot};
use crate::core::{self, Events};
use crate::plan::Key;
use crate::whep::Client;

use problem::Problem;

pub use files::{Files, Login, LoginError, Watch};
pub use forward::{WorkerAddresses, Workers};
pub use ice::TurnAuth;
pub use login::{Auth, AuthError};
pub use serve::serve;
pub use settings::{MASK, Setting};
pub use throttle::{Limit, Limits};
pub use worker::{Put, Standing, Worker};

/// What the surface is made from.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who answers.
    pub identity: Identity,
    /// Whose tokens are taken; `None` turns authentication off, and everything works without a token.
    pub auth: watch::Receiver<Option<Auth>>,
    /// How often a client address may do what costs something.
    pub limits: Limits,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The way to the gateway; `None` where WebRTC is turned off.
    pub whep: Option<Client>,
    /// What is shown of the processes.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// The way to whatever changes processes; `None` where nothing does.
    pub core: Option<core::Client>,
    /// Leave out every route that changes something.
    pub read_only: bool,
    /// The last events of the log.
    pub events: Events,
    /// Figures for Prometheus are served.
    pub metrics: bool,
    /// They need a token that may read every process.
    pub metrics_auth: bool,
    /// What of the configuration holds.
    pub settings: watch::Receiver<Arc<Vec<Setting>>>,
    /// `stun:` and `turn:` URLs that players are told in `Link` headers.
    pub ice_servers: watch::Receiver<Vec<String>>,
    /// What opens the TURN servers among them; `None` names them without credentials.
    pub turn_auth: Option<TurnAuth>,
    /// Refuse a PATCH without If-Match, which real players send.
    pub strict_etag: bool,
    /// The files that are served.
    pub files: Files,
    /// Answer an offer without a common codec with a counter-offer; else with a problem.
    pub counter_offer: bool,
    /// What clients take for 100 % of the CPU.
    pub cores: NonZero<usize>,
    /// In a cluster: the workers that are asked for their processes. Nothing can be changed then.
    pub workers: Option<Workers>,
    /// The worker Pod that this is; `None` where it is none.
    pub worker: Option<Worker>,
}

impl Config {
    /// What only shows processes: it has neither gateway nor files, and changes nothing.
    pub fn showing(
        identity: Identity,
        auth: watch::Receiver<Option<Auth>>,
        snapshot: watch::Receiver<Arc<Snapshot>>,
        events: Events,
        cores: NonZero<usize>,
    ) -> Self {
        Self {
            identity,
            auth,
            limits: Limits::default(),
            trusted_proxies: Vec::new(),
            whep: None,
            snapshot,
            core: None,
            read_only: true,
            events,
            metrics: true,
            metrics_auth: false,
            settings: watch::channel(Arc::default()).1,
            ice_servers: watch::channel(Vec::new()).1,
            turn_auth: None,
            strict_etag: false,
            files: Files::default(),
            counter_offer: true,
            cores,
            workers: None,
            worker: None,
        }
    }
}

/// Who answers, in `GET /api`.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Name of the program.
    pub name: String,
    /// Its version, such as `0.1.0`.
    pub version: String,
    /// Machine word of this variant of datarhei Core.
    pub variant: String,
    /// Name of this fork of datarhei Core.
    pub fork: String,
    /// Id of this instance, the same after a restart.
    pub id: String,
    /// When this instance started.
    pub created_at: jiff::Timestamp,
}

/// What handlers share.
struct App {
    identity: Identity,
    auth: watch::Receiver<Option<Auth>>,
    logins: Mutex<throttle::Throttle>,
    offers: Mutex<throttle::Throttle>,
    trusted_proxies: Vec<IpNet>,
    whep: Option<Client>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
    core: Option<core::Client>,
    events: Events,
    metrics_auth: bool,
    settings: watch::Receiver<Arc<Vec<Setting>>>,
    description: OpenApi,
    ice_servers: ice::IceServers,
    strict_etag: bool,
    files: Files,
    counter_offer: bool,
    cores: NonZero<usize>,
    forward: Option<forward::Forward>,
    worker: Option<Worker>,
}

type Shared = axum::extract::State<Arc<App>>;

impl App {
    /// Whose tokens are taken at this moment.
    fn auth(&self) -> Option<Auth> {
        self.auth.borrow().clone()
    }

    /// The way to whatever changes processes.
    fn core(&self) -> Result<&core::Client, Problem> {
        self.core.as_ref().ok_or_else(|| Problem::not_found("no_route", "processes cannot be changed here"))
    }

    fn process(&self, id: &str) -> Option<Arc<controller::Process>> {
        self.snapshot.borrow().processes.get(&Key::new(id)).cloned()
    }
}

/// The whole surface. Ice servers that cannot stand in a header are left out with a warning.
pub fn router(config: Config) -> Router {
    let Config {
        identity,
        auth,
        limits,
        trusted_proxies,
        whep: client,
        snapshot,
        core,
        read_only,
        events,
        metrics,
        metrics_auth,
        settings,
        ice_servers,
        turn_auth,
        strict_etag,
        files,
        counter_offer,
        cores,
        workers,
        worker,
    } = config;
    let (routes, description) = routes::routes(routes::Served { read_only, metrics, worker: worker.is_some() });
    let app = Arc::new(App {
        identity,
        auth,
        logins: Mutex::new(throttle::Throttle::new(limits.logins)),
        offers: Mutex::new(throttle::Throttle::new(limits.offers)),
        trusted_proxies,
        whep: client,
        snapshot,
        core,
        events,
        metrics_auth,
        settings,
        description,
        ice_servers: ice::IceServers::new(ice_servers, turn_auth),
        strict_etag,
        files,
        counter_offer,
        cores,
        forward: workers.map(forward::Forward::new),
        worker,
    });
    surround(routes, app)
}

/// What is around every route: no response leaves without it.
fn surround(routes: Router<Arc<App>>, app: Arc<App>) -> Router {
    routes
        .fallback(files::disk)
        .method_not_allowed_fallback(problem::no_method)
        .layer(from_fn_with_state(app.clone(), forward::forward))
        .layer(from_fn_with_state(app.clone(), access::authorize))
        .layer(CatchPanicLayer::custom(problem::panicked))
        .layer(CompressionLayer::new().compress_when(compress::is_worth_it))
        .layer(from_fn(files::count))
        .layer(from_fn(cors::everywhere))
        .with_state(app)
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE};
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_problem_that_a_page_can_read() {
        let (_sender, snapshot) = watch::channel(Arc::default());
        let identity = Identity {
            name: "dragonfork".into(),
            version: "0.1.0".into(),
            variant: "dragonfork".into(),
            fork: "Datarhei — Dragon Fork".into(),
            id: "1".into(),
            created_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let app = Arc::new(App {
            identity,
            auth: watch::channel(None).1,
            logins: Mutex::new(throttle::Throttle::new(Limits::default().logins)),
            offers: Mutex::new(throttle::Throttle::new(Limits::default().offers)),
            trusted_proxies: Vec::new(),
            whep: None,
            snapshot,
            core: None,
            events: Events::new(0),
            metrics_auth: false,
            settings: watch::channel(Arc::default()).1,
            description: OpenApi::default(),
            ice_servers: ice::IceServers::new(watch::channel(Vec::new()).1, None),
            strict_etag: false,
            files: Files::default(),
            counter_offer: true,
            cores: NonZero::<usize>::MIN,
            forward: None,
            worker: None,
        });
        async fn broken() {
            panic!("a bug");
        }
        let router = surround(Router::new().route("/broken", get(broken)), app);
        let request = Request::get("/broken").body(Body::empty()).expect("a request");
        let response = router.oneshot(request).await.expect("it is answered");
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    }
}
