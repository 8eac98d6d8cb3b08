//! Whole numbers on the command line.

use std::fmt::Display;
use std::str::FromStr;

/// A parser of whole numbers from `least` to `most`. Unlike clap's, its errors say what is allowed.
pub(super) fn number<T>(least: T, most: Option<T>) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Default + Copy + Send + Sync + 'static,
{
    move |text| {
        let number = text.parse().ok().filter(|number| *number >= least && most.is_none_or(|most| *number <= most));
        number.ok_or_else(|| match most {
            Some(most) => format!("enter a whole number from {least} to {most}"),
            None if least == T::default() => "enter a whole number".to_owned(),
            None => format!("enter a whole number of at least {least}"),
        })
    }
}
