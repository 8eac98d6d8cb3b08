//! The enumerations of Graph's schema, each member with the classic API's name for it.

/// A member and the classic API's name.
type Pair = (&'static str, &'static str);

/// One enumeration.
#[derive(Debug)]
pub(super) struct Enumeration {
    /// The members that an update may set.
    settable: &'static [Pair],
    /// The members that only the service sets.
    read_only: &'static [Pair],
    /// Other names that the classic API has for members.
    other_names: &'static [Pair],
}

/// The member for a choice that nobody has made.
pub(super) const UNKNOWN: &str = "unknown";

/// What a client sees of a member that is newer than the schema it knows.
pub(super) const UNKNOWN_FUTURE_VALUE: &str = "unknownFutureValue";

/// The member that only clients see that ask for members they may not know.
pub(super) const AWAITING_ACTION: &str = "awaitingAction";

pub(super) const STATUS: Enumeration = Enumeration {
    settable: &[("active", "Active"), ("inProgress", "InProgress"), ("resolved", "Resolved")],
    read_only: &[("redirected", "Redirected"), (AWAITING_ACTION, "AwaitingAction")],
    other_names: &[],
};

pub(super) const CLASSIFICATION: Enumeration = Enumeration {
    settable: &[
        (UNKNOWN, "Unknown"),
        ("falsePositive", "FalsePositive"),
        ("truePositive", "TruePositive"),
        ("informationalExpectedActivity", "InformationalExpectedActivity"),
    ],
    read_only: &[],
    other_names: &[],
};

pub(super) const DETERMINATION: Enumeration = Enumeration {
    settable: &[
        (UNKNOWN, "NotAvailable"),
        ("apt", "Apt"),
        ("malware", "Malware"),
        ("securityPersonnel", "SecurityPersonnel"),
        ("securityTesting", "SecurityTesting"),
        ("unwantedSoftware", "UnwantedSoftware"),
        ("other", "Other"),
        ("multiStagedAttack", "MultiStagedAttack"),
        ("compromisedAccount", "CompromisedAccount"),
        ("phishing", "Phishing"),
        ("maliciousUserActivity", "MaliciousUserActivity"),
        ("notMalicious", "NotMalicious"),
        ("notEnoughDataToValidate", "NoEnoughDataToValidate"),
        ("confirmedActivity", "ConfirmedActivity"),
        ("lineOfBusinessApplication", "LineOfBusinessApplication"),
    ],
    read_only: &[],
    other_names: &[("notMalicious", "Clean"), ("notEnoughDataToValidate", "NotEnoughDataToValidate")],
};

pub(super) const SEVERITY: Enumeration = Enumeration {
    settable: &[
        (UNKNOWN, "UnSpecified"),
        ("informational", "Informational"),
        ("low", "Low"),
        ("medium", "Medium"),
        ("high", "High"),
    ],
    read_only: &[],
    other_names: &[],
};

impl Enumeration {
    /// The classic name of a member that an update may set. As in the examples of the documentation, its case is free.
    pub(super) fn settable(&self, given: &str) -> Option<&'static str> {
        self.settable.iter().find(|(member, _)| member.eq_ignore_ascii_case(given)).map(|(_, classic)| *classic)
    }

    /// Whether it has this member, in exactly this spelling.
    pub(super) fn has(&self, member: &str) -> bool {
        self.settable.iter().chain(self.read_only).any(|(known, _)| *known == member)
    }

    /// The member that the classic API calls so; of a value that the schema does not know, the one that stands for those.
    pub(super) fn member_of(&self, classic: &str) -> &'static str {
        let pairs = self.settable.iter().chain(self.read_only).chain(self.other_names);
        let found = pairs.into_iter().find(|(_, name)| *name == classic);
        found.map_or(UNKNOWN_FUTURE_VALUE, |(member, _)| member)
    }
}
