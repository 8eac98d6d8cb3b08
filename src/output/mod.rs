//! What is written to files for other programs: [`results`] line by line, the incidents that [`fetched`] lists, and the
//! file of a plan. Text from outside goes through [`crate::text`] on its way.

pub mod fetched;
pub mod plan_file;
pub mod results;
