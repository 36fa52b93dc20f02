//! The description of the interface (OpenAPI 3.1), and a page that shows it. Nothing of it comes from elsewhere.

use std::sync::{Arc, LazyLock};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Redirect, Response};
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, OpenApi, PathItem, Ref, RefOr, Required, ResponseBuilder,
};
use utoipa_swagger_ui::Config;

use super::Shared;
use super::problem::Problem;

/// Where the description is.
const DESCRIPTION: &str = "/api/openapi.json";
/// Where datarhei Core has its own.
const DATARHEIS: &str = "doc.json";
/// The page's own files alone; its styles are set by its script.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page asks no one but this server, also not whether the description is valid.
static CONFIG: LazyLock<Arc<Config<'static>>> =
    LazyLock::new(|| Arc::new(Config::from(DESCRIPTION).validator_url("none").query_config_enabled(false)));

/// `GET /api/openapi.json`
pub async fn description(State(app): Shared) -> Json<OpenApi> {
    Json(app.description.clone())
}

/// `GET /api/swagger`: to the page.
pub async fn to_page() -> Redirect {
    Redirect::temporary("/api/swagger/index.html")
}

/// `GET /api/swagger/{file}`: the page and its parts.
pub async fn page(Path(file): Path<String>) -> Result<Response, Problem> {
    if file == DATARHEIS {
        return Ok(Redirect::temporary(DESCRIPTION).into_response());
    }
    let found = utoipa_swagger_ui::serve(&file, CONFIG.clone()).ok().flatten();
    let found = found.ok_or_else(|| Problem::not_found("no_route", "nothing is served at this path"))?;
    let headers =
        [(CONTENT_TYPE, found.content_type.as_str()), (CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, "no-cache")];
    let encoding = found.gzpipped.then_some([(CONTENT_ENCODING, "gzip")]);
    Ok(match encoding {
        Some(encoding) => (headers, encoding, found.bytes.into_owned()).into_response(),
        None => (headers, found.bytes.into_owned()).into_response(),
    })
}

/// Adds what holds for every operation: its name, the parameters of its path, the token, and what an error looks like.
pub fn complete(mut api: OpenApi) -> OpenApi {
    api.info = InfoBuilder::new()
        .title("Dragon Fork")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Processes of FFmpeg with WebRTC playback, in the form of datarhei Core's API."))
        .build();
    let components = api.components.get_or_insert_with(Components::new);
    components.schemas.insert("Problem".into(), problem());
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.security_schemes.insert("token".into(), bearer.into());
    // What takes the rest of a path has a star in the router's words alone.
    api.paths.paths =
        std::mem::take(&mut api.paths.paths).into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    let aliases: Vec<_> =
        api.paths.paths.iter().filter_map(|(path, item)| Some((alias(path)?, item.clone()))).collect();
    api.paths.paths.extend(aliases);
    for (path, item) in &mut api.paths.paths {
        for (method, operation) in operations(item) {
            operation.operation_id = Some(name(method, path));
            let named = path.split('/').filter_map(parameter).map(RefOr::T);
            operation.parameters.get_or_insert_default().extend(named);
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
            let error = ResponseBuilder::new()
                .description("A problem (RFC 9457), which is datarhei's error as well")
                .content("application/problem+json", content)
                .build();
            operation.responses.responses.insert("default".into(), RefOr::T(error));
            if path.starts_with("/api/v3") && method != "options" {
                operation.security = Some(vec![SecurityRequirement::new::<_, [&str; 0], &str>("token", [])]);
            }
        }
    }
    api
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (&'static str, &mut Operation)> {
    let all = [
        ("get", &mut item.get),
        ("put", &mut item.put),
        ("post", &mut item.post),
        ("delete", &mut item.delete),
        ("options", &mut item.options),
        ("patch", &mut item.patch),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// The other name of a route of WHEP.
fn alias(path: &str) -> Option<String> {
    let rest = path.strip_prefix("/api/v3/whep/{id}")?;
    Some(format!("/api/v3/process/{{id}}/whep{rest}"))
}

/// `get_v3_process_id_config` of `GET /api/v3/process/{id}/config`.
fn name(method: &str, path: &str) -> String {
    let words = path.split(['/', '{', '}', '.']).filter(|word| !matches!(*word, "" | "api"));
    let words: Vec<&str> = std::iter::once(method).chain(words).collect();
    if words.len() == 1 { format!("{method}_api") } else { words.join("_") }
}

fn parameter(segment: &str) -> Option<Parameter> {
    let name = segment.strip_prefix('{')?.strip_suffix('}')?;
    let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).build();
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True);
    Some(parameter.schema(Some(text)).build())
}

fn problem() -> RefOr<utoipa::openapi::Schema> {
    let of = |kind: Type| ObjectBuilder::new().schema_type(SchemaType::Type(kind));
    let details = utoipa::openapi::ArrayBuilder::new().items(of(Type::String)).build();
    of(Type::Object)
        .property("type", of(Type::String))
        .property("title", of(Type::String))
        .property("status", of(Type::Integer))
        .property("detail", of(Type::String))
        .property("reason", of(Type::String).description(Some("One word for programs")))
        .property("code", of(Type::Integer))
        .property("message", of(Type::String))
        .property("details", details)
        .required("code")
        .required("message")
        .required("details")
        .build()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_named_by_what_it_does_and_where() {
        assert_eq!(name("get", "/api/v3/process/{id}/config"), "get_v3_process_id_config");
        assert_eq!(name("get", "/api"), "get_api");
    }
}
