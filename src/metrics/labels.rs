//! Labels whose values are words of a list.

/// Makes an enum whose values are the words of one label.
macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        impl $name {
            pub(super) const WORDS: &'static [&'static str] = &[$($word),+];

            pub(super) const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

label! {
    /// How bytes of a source come in.
    Way {
        /// In an upload stream.
        Upload = "upload",
        /// From a URL.
        Fetch = "fetch",
    }
}

label! {
    /// A stage of a segment's way.
    Stage {
        /// Its bytes are read from the object store.
        Read = "read",
        /// Its rows are parsed.
        Parse = "parse",
        /// They become records.
        Transform = "transform",
        /// These are written; waiting for a turn and a connection is a part of it.
        Persist = "persist",
    }
}

label! {
    /// What an attempt to settle a segment came to.
    Attempt {
        /// Its rows are settled.
        Settled = "settled",
        /// It is tried again later.
        GivenBack = "given_back",
        /// It failed its import.
        Failed = "failed",
    }
}

label! {
    /// A part that a server cannot do without.
    Dependency {
        /// The database.
        Database = "database",
        /// The object store.
        Objects = "object_store",
    }
}

label! {
    /// Who uses connections to the database.
    Pool {
        /// Segments that are written.
        Bulk = "bulk",
        /// All else.
        General = "general",
    }
}

label! {
    /// What an attempt to fetch a source came to.
    FetchEnd {
        /// The source is stored.
        Stored = "stored",
        /// It broke off far behind where it began, and is gone on with at once.
        GoneOn = "gone_on",
        /// It is tried again later.
        PutOff = "put_off",
        /// It failed its import.
        Failed = "failed",
    }
}

label! {
    /// What the sweeper looks for.
    Sweep {
        /// Uploads that nobody went on with.
        Uploads = "uploads",
        /// Sources that were kept long enough.
        Sources = "sources",
        /// Tallies of rows that nobody needs any more.
        Leftovers = "leftovers",
        /// Retries whose feeder died.
        Retries = "retries",
        /// Erasures that were not finished.
        Erasures = "erasures",
        /// Media that nothing names.
        Media = "media",
    }
}

label! {
    /// What an attempt to fetch a medium came to.
    MediaEnd {
        /// It is stored.
        Stored = "stored",
        /// It is given up.
        Failed = "failed",
        /// It is tried again later.
        PutOff = "put_off",
        /// Another process may take it at once.
        GivenBack = "given_back",
    }
}
