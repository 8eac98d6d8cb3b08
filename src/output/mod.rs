//! Files for other programs: the [`results`] of a run, the incidents of a fetch ([`fetched`]), plans ([`plan_file`]) and
//! metrics.
//! Text from outside passes through [`crate::text`].

pub mod fetched;
pub(crate) mod metrics_file;
pub mod plan_file;
pub mod results;
