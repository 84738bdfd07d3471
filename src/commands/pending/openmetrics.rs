//! What `pending` saw, as metrics: text that OpenMetrics and Prometheus both read. Pure.

use crate::streamer::{Behind, GroupState, Lag, RawName, StreamState};

/// A metric of each stream or group: its name, what it is, and its figure where there is one.
struct Metric<T> {
    name: &'static str,
    help: &'static str,
    figure: fn(&T) -> Option<String>,
}

const OF_STREAMS: [Metric<StreamState>; 2] = [
    Metric {
        name: "stream_length",
        help: "Entries that the stream holds.",
        figure: |stream| Some(stream.length.to_string()),
    },
    Metric {
        name: "stream_groups",
        help: "Consumer groups of the stream.",
        figure: |stream| Some(stream.groups.len().to_string()),
    },
];

const OF_GROUPS: [Metric<GroupState>; 6] = [
    Metric {
        name: "group_lag",
        help: "Entries still to be delivered to the group; left out where that is not known.",
        figure: |group| group.lag.least().map(|lag| lag.to_string()),
    },
    Metric {
        name: "group_lag_is_lower_bound",
        help: "1 where the lag was counted, and not to its end.",
        figure: |group| Some(u8::from(matches!(group.lag, Lag::AtLeast(_))).to_string()),
    },
    Metric {
        name: "group_pending",
        help: "Entries delivered and not acknowledged.",
        figure: |group| Some(group.info.pending.to_string()),
    },
    Metric {
        name: "group_behind_seconds",
        help: "Age of the oldest entry not acknowledged, delivered or not; 0 if there is none.",
        figure: |group| match group.behind {
            Behind::Nothing => Some(seconds(0)),
            Behind::Ms(ms) => Some(seconds(ms)),
            Behind::Unknown => None,
        },
    },
    Metric {
        name: "group_oldest_idle_seconds",
        help: "Longest time since a pending entry was last delivered; 0 if none is pending.",
        figure: |group| Some(seconds(group.oldest_idle_ms.unwrap_or(0))),
    },
    Metric {
        name: "group_consumers",
        help: "Consumer names in the group.",
        figure: |group| Some(group.info.consumers.to_string()),
    },
];

/// All metrics of streams and their groups.
pub fn metrics(streams: &[StreamState]) -> String {
    let mut text = String::new();
    for metric in OF_STREAMS {
        let samples = streams
            .iter()
            .filter_map(|stream| Some((labels(stream, None), (metric.figure)(stream)?)));
        family(&mut text, metric.name, metric.help, samples);
    }
    for metric in OF_GROUPS {
        let groups = streams
            .iter()
            .flat_map(|stream| stream.groups.iter().map(move |group| (stream, group)));
        let samples = groups.filter_map(|(stream, group)| Some((labels(stream, Some(group)), (metric.figure)(group)?)));
        family(&mut text, metric.name, metric.help, samples);
    }
    text + "# EOF\n"
}

fn family(text: &mut String, name: &str, help: &str, samples: impl Iterator<Item = (String, String)>) {
    let name = format!("redis_streamer_{name}");
    text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n"));
    for (labels, figure) in samples {
        text.push_str(&format!("{name}{{{labels}}} {figure}\n"));
    }
}

fn labels(stream: &StreamState, group: Option<&GroupState>) -> String {
    let stream = label("stream", &stream.name);
    match group {
        Some(group) => format!("{stream},{}", label("group", &group.info.name)),
        None => stream,
    }
}

/// A label's value is text: a name that is not is told as it can be typed.
fn label(name: &str, value: &RawName) -> String {
    let value = value.typed();
    let escaped = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
    format!("{name}=\"{escaped}\"")
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(label("stream", &RawName::from("a\"b\\c\nd")), r#"stream="a\"b\\c\nd""#);
        assert_eq!(
            label("group", &RawName::from(b"caf\xe8".to_vec())),
            r#"group="base64:Y2Fm6A==""#
        );
    }

    #[test]
    fn seconds_are_exact() {
        assert_eq!([0, 5, 61_005].map(seconds), ["0.000", "0.005", "61.005"]);
    }
}
