//! What was typed, made into what is run. Every refusal of a combination stands here.

use std::num::{NonZeroU64, NonZeroUsize};

use crate::failure::Failure;
use crate::format::{End, Format, Layout, Record};
use crate::streamer::{
    Acknowledge, Batch, CLAIM_IDLE, DeadLetters, Dispatch, Done, Extent, Jobs, Matching, Name, OnFailure,
    PlainSettings, Point, Settings, Start, names,
};

use super::handlers::{Handler, Manner};
use super::{AckMode, Args, ClaimIdle, OnNoGroup};

/// What `consume` does.
pub enum Plan {
    /// Reads streams and changes nothing.
    Plain(PlainSettings),
    /// Prints the messages of groups.
    Print(Vec<Settings>),
    /// Runs a handler for each message of groups.
    Handle(Vec<Settings>, Dispatch, Handler),
}

impl Plan {
    /// The keys that are used, of which a cluster may have some elsewhere.
    pub fn keys(&self, exclusive: bool) -> Vec<String> {
        let (members, dead_letters) = match self {
            Self::Plain(settings) => return settings.streams.clone(),
            Self::Print(members) => (members, None),
            Self::Handle(members, dispatch, _) => (members, dispatch.dead_letters()),
        };
        let leases = members.iter().filter(|_| exclusive).flat_map(Settings::lease_keys);
        let keys = members.iter().flat_map(Settings::keys).chain(leases);
        keys.chain(dead_letters.map(str::to_owned)).collect()
    }
}

impl Args {
    /// What these options ask for of these streams.
    pub fn plan(&self, streams: &[String]) -> Result<Plan, Failure> {
        self.streams.check()?;
        let Some(label) = self.group.label() else {
            self.refuse_group_options()?;
            return Ok(Plan::Plain(self.plain(streams)));
        };
        self.refuse_plain_options()?;
        self.refuse_beside_exclusive()?;
        let name = match &self.consumer {
            Some(name) => Name::Given(name.clone()),
            None => Name::Made(names::new_consumer(label)),
        };
        let acknowledge = self.acknowledge()?;
        let members = self.members(streams, &name, acknowledge);
        match self.handler(streams, acknowledge)? {
            None => Ok(Plan::Print(members)),
            Some((dispatch, handler)) => Ok(Plan::Handle(members, dispatch, handler)),
        }
    }

    /// How messages are printed, or handed to handlers.
    pub fn format(&self) -> Result<Format, Failure> {
        let given = &self.format;
        let layout = if given.pretty {
            Layout::Indented
        } else {
            Layout::OneLine
        };
        if given.pretty && !self.command.is_empty() {
            return Err(Failure::usage(
                "--pretty is for people to read: a handler gets its message on one line",
            ));
        }
        if self.worker && (given.null || given.template.is_some()) {
            return Err(Failure::usage(
                "a worker answers each line with a line: --null and --template do not go with --worker",
            ));
        }
        let record =
            match (&given.template, given.body, given.time) {
                (Some(_), true, _) => Err(Failure::usage("--template does not go with --body")
                    .hint("{body} in the template stands for the body")),
                (Some(_), _, true) => Err(Failure::usage("--template does not go with --time")
                    .hint("{time} in the template stands for the time")),
                (Some(_), _, _) if given.pretty => Err(Failure::usage(
                    "--template says all of how it looks: --pretty does not go with it",
                )),
                (Some(template), _, _) => Ok(Record::Template(template.clone())),
                (None, true, true) => Err(Failure::usage(
                    "--body prints nothing but the body: --time does not go with it",
                )
                .hint("print both with --template '{time} {body}'")),
                (None, true, false) => Ok(Record::Body(layout)),
                (None, false, true) => Ok(Record::TimedLine(layout)),
                (None, false, false) => Ok(Record::Line(layout)),
            }?;
        let end = if given.null { End::Nul } else { End::LineFeed };
        Ok(Format { record, end })
    }

    fn refuse_group_options(&self) -> Result<(), Failure> {
        let given = [
            (self.consumer.is_some(), "--consumer"),
            (self.ack != AckMode::Success, "--ack"),
            (self.claim_idle.is_some(), "--claim-idle"),
            (self.on_nogroup != OnNoGroup::Fail, "--on-nogroup"),
            (self.dedup.is_some(), "--dedup"),
            (self.delete, "--delete"),
            (self.exclusive, "--exclusive"),
            (!self.command.is_empty(), "a handler"),
        ];
        refuse(&given, "needs a group: add -g GROUP or -l NAME")
    }

    fn refuse_plain_options(&self) -> Result<(), Failure> {
        let given = [
            (self.from.is_some(), "--from"),
            (self.after.is_some(), "--after"),
            (self.to.is_some(), "--to"),
            (self.last.is_some(), "--last"),
        ];
        refuse(
            &given,
            "is for reading without a group: a group begins where `subscribe --from` put it",
        )
    }

    fn refuse_beside_exclusive(&self) -> Result<(), Failure> {
        match self.ack {
            _ if !self.exclusive => Ok(()),
            AckMode::Manual => Err(Failure::usage(
                "--exclusive takes over what is pending, which --ack manual leaves to others: nobody would know what is done",
            )),
            AckMode::Read => Err(Failure::usage(
                "--exclusive has messages done in order, again if need be: --ack read gives up what was read",
            )),
            AckMode::Success if self.claim_idle.is_some() => Err(Failure::usage(
                "--exclusive takes over what is pending at once, and needs no --claim-idle",
            )),
            AckMode::Success => Ok(()),
        }
    }

    fn refuse_beside_delete(&self) -> Result<(), Failure> {
        match self.ack {
            _ if !self.delete => Ok(()),
            AckMode::Manual => Err(Failure::usage(
                "--delete deletes what is acknowledged here, and --ack manual leaves that to the ack command",
            )
            .hint("ack has a --delete, too")),
            AckMode::Read => Err(Failure::usage(
                "--delete deletes what is done, and with --ack read nobody says what is",
            )),
            AckMode::Success if !self.matching.is_empty() => Err(Failure::usage(
                "--match acknowledges what it passes over: --delete would delete what nobody has done",
            )),
            AckMode::Success => Ok(()),
        }
    }

    fn plain(&self, streams: &[String]) -> PlainSettings {
        let from = match (self.last, self.after, self.from, self.to) {
            (Some(count), ..) => Start::Last(count),
            (_, Some(id), ..) => Start::After(id),
            (_, _, Some(point), _) => Start::At(point),
            (_, _, None, Some(_)) => Start::At(Point::Beginning),
            (_, _, None, None) => Start::At(Point::Latest),
        };
        PlainSettings {
            streams: streams.to_vec(),
            from,
            to: self.to,
            extent: self.extent(),
            matching: Matching::any_of(self.matching.clone()),
            count: self.count,
            block: self.block,
            rest: self.rest,
        }
    }

    fn extent(&self) -> Extent {
        if self.exit_on_empty {
            Extent::AsOfNow
        } else {
            Extent::Endless
        }
    }

    fn acknowledge(&self) -> Result<Acknowledge, Failure> {
        let claim_idle = |default| match self.claim_idle {
            Some(ClaimIdle::After(idle)) => Some(idle),
            Some(ClaimIdle::Off) => None,
            None => default,
        };
        self.refuse_beside_delete()?;
        match self.ack {
            AckMode::Success => Ok(Acknowledge::OnSuccess {
                claim_idle: claim_idle(Some(CLAIM_IDLE)),
                done: Done::new(self.delete),
            }),
            AckMode::Manual if !self.command.is_empty() => Err(Failure::usage(
                "a handler's exit status settles its message: --ack manual does not go with it",
            )),
            AckMode::Manual if self.dedup.is_some() => Err(Failure::usage(
                "--dedup counts what is printed as processed: --ack manual does not go with it",
            )),
            AckMode::Manual => Ok(Acknowledge::Elsewhere {
                claim_idle: claim_idle(None),
            }),
            AckMode::Read if claim_idle(None).is_some() => Err(Failure::usage(
                "--claim-idle delivers again, --ack read delivers at most once",
            )),
            AckMode::Read if self.max_deliveries.is_some() => Err(Failure::usage(
                "--ack read delivers once: --max-deliveries does not go with it",
            )),
            AckMode::Read if self.max.is_some() && self.streams.may_be_several() => Err(Failure::usage(
                "--ack read with -n reads one stream: a read of several may bring more, and what is read is done",
            )),
            AckMode::Read => Ok(Acknowledge::OnRead),
        }
    }

    /// One member for each name of a group: groups of different names cannot be read by one command.
    fn members(&self, streams: &[String], name: &Name, acknowledge: Acknowledge) -> Vec<Settings> {
        let mut members: Vec<Settings> = Vec::new();
        for stream in streams {
            let Some(group) = self.group.on(stream) else {
                continue;
            };
            match members.iter_mut().find(|member| member.group == group) {
                Some(member) if member.streams.contains(stream) => {}
                Some(member) => member.streams.push(stream.clone()),
                None => members.push(Settings {
                    streams: vec![stream.clone()],
                    group,
                    name: name.clone(),
                    acknowledge,
                    dedup: self.dedup,
                    create_from: match self.on_nogroup {
                        OnNoGroup::Fail => None,
                        OnNoGroup::Latest => Some(Point::Latest),
                        OnNoGroup::Beginning => Some(Point::Beginning),
                    },
                    extent: self.extent(),
                    matching: Matching::any_of(self.matching.clone()),
                    count: self.count,
                    block: self.block,
                    rest: self.rest,
                }),
            }
        }
        members
    }

    fn handler(&self, streams: &[String], acknowledge: Acknowledge) -> Result<Option<(Dispatch, Handler)>, Failure> {
        let Some((program, arguments)) = self.command.split_first() else {
            return Ok(None);
        };
        let dead_letter = self.max_deliveries.zip(self.dead_letter.as_ref());
        let dispatch = Dispatch {
            jobs: Jobs::new(self.jobs.get().saturating_mul(self.in_flight.get())),
            batch: self.batch(),
            refill: NonZeroUsize::new(self.in_flight.get() / 2).unwrap_or(NonZeroUsize::MIN),
            on_failure: self.on_failure(acknowledge, dead_letters(streams, dead_letter)?),
        };
        let handler = Handler {
            program: program.clone(),
            arguments: arguments.to_vec(),
            time_limit: self.handler_timeout,
            environment: self.environment(),
            manner: if self.worker {
                Manner::Stays {
                    workers: self.jobs,
                    in_flight: self.in_flight,
                }
            } else {
                Manner::OnceEach
            },
        };
        Ok(Some((dispatch, handler)))
    }

    fn batch(&self) -> Batch {
        self.batch.map_or(Batch::ONE, |messages| Batch {
            messages,
            wait: self.batch_wait,
        })
    }

    /// With an end, and nowhere to put what fails, a message gets one try: others would have no end.
    fn on_failure(&self, acknowledge: Acknowledge, dead_letter: Option<DeadLetters>) -> OnFailure {
        match (acknowledge, self.extent(), dead_letter) {
            (Acknowledge::OnRead, _, _) => OnFailure::Drop,
            (_, Extent::AsOfNow, None) => OnFailure::HandBack,
            (_, _, dead_letter) => OnFailure::Retry {
                delay: self.retry_delay,
                dead_letter,
            },
        }
    }
}

fn dead_letters(streams: &[String], given: Option<(NonZeroU64, &String)>) -> Result<Option<DeadLetters>, Failure> {
    match given {
        Some((_, stream)) if streams.contains(stream) => Err(Failure::usage(format!(
            "--dead-letter {stream} is consumed here: what fails would come back again and again"
        ))),
        Some((after, stream)) => Ok(Some(DeadLetters {
            stream: stream.clone(),
            after,
        })),
        None => Ok(None),
    }
}

fn refuse(given: &[(bool, &str)], why: &str) -> Result<(), Failure> {
    match given.iter().find(|(is_given, _)| *is_given) {
        Some((_, option)) => Err(Failure::usage(format!("{option} {why}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn plan(line: &str) -> Result<Plan, Failure> {
        let words = std::iter::once("consume").chain(line.split_whitespace());
        let args = Line::try_parse_from(words).unwrap().args;
        args.plan(&args.streams.typed())
    }

    #[test]
    fn combinations_that_make_no_sense_are_refused() {
        for line in [
            "s --ack read",
            "s --dedup",
            "s -- true",
            "s -g g --from beginning",
            "s -g g --last 3",
            "s -g g --after 1-0",
            "s -g g --ack manual -- true",
            "s -g g --ack manual --dedup",
            "s -g g --ack read --claim-idle 1s",
            "s -g g --ack read --max-deliveries 1 --dead-letter d -- true",
            "s t -g g --ack read -n 1",
            "s* --glob -g g --ack read -n 1",
            "s{0..1} --glob",
            "s -g g --max-deliveries 1 --dead-letter s -- true",
            "s --exclusive",
            "s -g g --exclusive --ack manual",
            "s -g g --exclusive --ack read",
            "s -g g --exclusive --claim-idle 1s",
            "s --delete",
            "s -g g --delete --ack manual",
            "s -g g --delete --ack read",
            "s -g g --delete --match a",
        ] {
            assert!(plan(line).is_err(), "{line}");
        }
    }

    #[test]
    fn ways_to_print_that_exclude_each_other_are_refused() {
        let format = |line: &str| {
            let words = std::iter::once("consume").chain(line.split_whitespace());
            Line::try_parse_from(words).unwrap().args.format()
        };
        for line in [
            "s --body --template {id}",
            "s --time --template {id}",
            "s --pretty --template {id}",
            "s --body --time",
            "s -g g --pretty -- true",
            "s -g g --worker --null -- true",
            "s -g g --worker --template {id} -- true",
        ] {
            assert!(format(line).is_err(), "{line}");
        }
        for line in [
            "s --pretty --time -0",
            "s --body --pretty",
            "s -g g --body --null -- true",
        ] {
            assert!(format(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn streams_of_one_group_are_read_together() {
        let groups = |line| match plan(line) {
            Ok(Plan::Print(members)) => members
                .into_iter()
                .map(|member| (member.group, member.streams))
                .collect(),
            _ => Vec::new(),
        };
        let [a, b] = ["a", "b"].map(str::to_owned);
        assert_eq!(groups("a b a -g g"), [("g".to_owned(), vec![a.clone(), b.clone()])]);
        assert_eq!(
            groups("a b -l x"),
            [("a:x:cg".to_owned(), vec![a]), ("b:x:cg".to_owned(), vec![b])]
        );
        let partitions = ["a0", "a1", "b"].map(str::to_owned);
        assert_eq!(groups("a{0..1} b a1 -g g"), [("g".to_owned(), partitions.to_vec())]);
    }

    #[test]
    fn what_becomes_of_a_failure_follows_from_the_end_asked_for() {
        let on_failure = |line| match plan(line) {
            Ok(Plan::Handle(_, dispatch, _)) => dispatch.on_failure,
            _ => OnFailure::Drop,
        };
        assert!(matches!(on_failure("s -g g -e -- true"), OnFailure::HandBack));
        assert!(matches!(
            on_failure("s -g g -n 1 -- true"),
            OnFailure::Retry { dead_letter: None, .. }
        ));
        assert!(matches!(
            on_failure("s -g g -e --max-deliveries 2 --dead-letter d -- true"),
            OnFailure::Retry {
                dead_letter: Some(_),
                ..
            }
        ));
        assert!(matches!(on_failure("s -g g --ack read -- true"), OnFailure::Drop));
    }
}
