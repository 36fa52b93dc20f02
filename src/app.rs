//! The composition root of each mode: the only place where IO rooms meet.
