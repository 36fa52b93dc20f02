//! What a route takes from its path.

use axum::extract::Path;
use axum::extract::rejection::PathRejection;

use super::problem::Problem;

/// A path, or why it cannot be read.
pub type At<T> = Result<Path<T>, PathRejection>;

/// What stands in a path.
pub fn at<T>(path: At<T>) -> Result<T, Problem> {
    path.map(|Path(path)| path).map_err(|rejection| Problem::malformed(rejection.body_text()))
}
