//! Command line and `CORE_*` environment variables -> typed configuration.
