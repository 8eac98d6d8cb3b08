//! Apply: sends the rows of a run. The dispatcher, the way of one row, what to do in doubt, the events.

pub mod events;
