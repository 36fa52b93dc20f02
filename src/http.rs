//! WHEP, login and JWT, the process list, the player page, and the one place where errors become HTTP.
//!
//! This room never knows how media gets to viewers: it asks [`crate::whep::Client`], and shows the controller's
//! snapshot.
