//! What the manual says beside what the help says.

/// A section of a page: paragraphs, then terms with what they mean.
pub struct Topic {
    pub heading: &'static str,
    pub paragraphs: &'static [&'static str],
    pub terms: &'static [(&'static str, &'static str)],
}

pub const DESCRIPTION: Topic = Topic {
    heading: "DESCRIPTION",
    paragraphs: &[
        "redis-streamer sends one message or millions to Redis Streams, reads streams with or without a consumer group, \
         acknowledges, and shows what is pending. Messages are lines of JSON on stdin and stdout, so it stands in a pipe \
         with jq, head or a program of yours.",
        "Each command has a page of its own. What they have in common is here.",
    ],
    terms: &[],
};

/// What all commands have in common.
pub const OF_ALL: &[Topic] = &[MESSAGES, GROUPS, STREAMS, POINTS];

const MESSAGES: Topic = Topic {
    heading: "MESSAGES AND LINES",
    paragraphs: &[
        "A message is an entry with two fields, in this order: name, which says what happened, and body, which is JSON. \
         One line of JSON stands for one entry, out of consume and into send-batch, so that a pipe between the two loses \
         nothing. Data goes to stdout, everything else to stderr.",
    ],
    terms: &[
        ("stream, id", "Where the entry is."),
        ("name, body", "The message; the body byte for byte."),
        (
            "fields",
            "The other fields of the entry, or all of them if it is no message: an object of strings; an array of \
             [name, value] where a name repeats, is not UTF-8, or the order matters. A value that is not UTF-8 is \
             {\"base64\":\"...\"}.",
        ),
        (
            "deliveries",
            "How often the message was delivered, if this is not the first time.",
        ),
    ],
};

const GROUPS: Topic = Topic {
    heading: "GROUPS",
    paragraphs: &[
        "The consumers of a group share the entries of a stream: each entry is delivered to one of them, and stays pending \
         until it is acknowledged. -g GROUP takes a group's name as it stands; -l NAME is short for the group \
         STREAM:NAME:cg.",
    ],
    terms: &[],
};

const STREAMS: Topic = Topic {
    heading: "STREAMS OF SEVERAL PARTITIONS",
    paragraphs: &[
        "Where a command takes a STREAM, 'orders:{0..15}' stands for the sixteen streams orders:0 to orders:15. Quote it: \
         the shell would expand it, too. With --key, a message goes to the stream that the slot of its key chooses \
         (CLUSTER KEYSLOT modulo their number).",
    ],
    terms: &[],
};

const POINTS: Topic = Topic {
    heading: "POINTS AND DURATIONS",
    paragraphs: &[
        "A POINT in a stream is latest, beginning, an entry ID (1700000000000-0), a time (2024-05-01T12:00:00Z), or a time \
         ago (-15m). A DURATION is a number with a unit: 250ms, 5s, 10m, 24h, 7d.",
    ],
    terms: &[],
};

pub const EXIT_STATUS: Topic = Topic {
    heading: "EXIT STATUS",
    paragraphs: &[],
    terms: &[
        ("0", "All is done."),
        ("1", "The server refused, data was bad, or part of a batch failed."),
        ("2", "The command line was wrong."),
        ("3", "The server could not be reached, or was lost: worth another try."),
        ("4", "A condition that was asked for was not met."),
        ("128+n", "Ended by signal n."),
    ],
};

pub const ENVIRONMENT: Topic = Topic {
    heading: "ENVIRONMENT",
    paragraphs: &[],
    terms: &[
        (
            "REDIS_STREAMER_URL, REDIS_URL",
            "The server, where --url names none; the first that is set. local: is the same as --local.",
        ),
        (
            "REDISCLI_AUTH",
            "The password, where neither the URL nor an option gives one.",
        ),
        (
            "POD_NAME, HOSTNAME",
            "What stands for this machine in the names that consumers give themselves; the first that is set.",
        ),
        ("REDIS_STREAMER_PROFILE", "The profile, where --profile names none."),
        (
            "REDIS_STREAMER_CONFIG",
            "The file of profiles; config.toml in the directory redis-streamer of XDG_CONFIG_HOME or ~/.config if not set.",
        ),
        (
            "XDG_DATA_HOME, XDG_RUNTIME_DIR",
            "Where the server of --local keeps its data and its socket; ~/.local/share and the temporary directory if not set.",
        ),
        ("NO_COLOR", "Nothing is coloured, unless --color says so."),
        (
            "REDIS_STREAMER_COMPLETE_FOR",
            "How long completions in the shell may ask the server, 300ms if not set; 0 keeps them from asking.",
        ),
        (
            "REDIS_STREAMER_STREAM, REDIS_STREAMER_ID, REDIS_STREAMER_NAME, REDIS_STREAMER_DELIVERIES",
            "Set for the commands that handle messages.",
        ),
    ],
};
