//! When the machine is at fault.
