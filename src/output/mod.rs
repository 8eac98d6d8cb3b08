//! Files for other programs: the [`results`] of a run, the incidents of a fetch ([`fetched`]), and plans ([`plan_file`]).
//! Text from outside passes through [`crate::text`].

pub mod fetched;
pub mod plan_file;
pub mod results;
