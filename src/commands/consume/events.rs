//! What happens while messages are consumed, in words.

use crate::render::{counted, exact_duration, grouped, one_line, roughly};
use crate::streamer::{AfterBatch, EntryId, Event, Next};
use crate::ui::Ui;

/// How many IDs a message names.
const NAMED: usize = 5;

const NOT_AGAIN: &str = "; not tried again, as --ack read asks";

/// Says what happened. `meant_by` asks for the stream that was meant by one that is not there.
pub fn tell(ui: Ui, event: &Event<'_>, meant_by: &dyn Fn(&str) -> Option<String>) {
    // What a person should know although the work goes on.
    let warning = match event {
        Event::Joined {
            streams,
            group,
            consumer,
        } => {
            return ui.detail(&format!(
                "consuming {} as {consumer} of group {group}",
                streams.join(", ")
            ));
        }
        Event::NoStream { stream, is_waited_for } => {
            let and = if *is_waited_for {
                " yet: waiting for its first message"
            } else {
                ""
            };
            if !ui.tells_status() {
                return;
            }
            let question = meant_by(stream).map(|question| format!("; {}", one_line(&question)));
            return ui.status(&format!(
                "stream {} does not exist{and}{}",
                one_line(stream),
                question.unwrap_or_default()
            ));
        }
        Event::LeaseTaken { stream, group } => {
            return ui.detail(&format!("reading {} alone of group {group}", one_line(stream)));
        }
        Event::LeaseAwaited { stream, group, holder } => {
            return ui.detail(&format!(
                "{holder} reads {} of group {group}; waiting for its turn to end",
                one_line(stream)
            ));
        }
        Event::LeaseGivenUp { stream, group } => {
            return ui.detail(&format!(
                "giving up {} of group {group} to another process",
                one_line(stream)
            ));
        }
        Event::GroupCreated { stream, group, from } => {
            format!("group {group} on {stream} was missing: created from {from}")
        }
        Event::LeaseLost { stream, group } => format!(
            "the lease of {} in group {group} was not renewed in time: what was in hand is left to whoever takes over",
            one_line(stream)
        ),
        Event::Undeletable { stream, group } => format!(
            "{} has groups beside {group} by now: what is acknowledged meanwhile is not deleted",
            one_line(stream)
        ),
        Event::Gone { stream, ids } => gone(stream, ids),
        Event::HandlerFailed {
            stream,
            id,
            reason,
            next,
        } => format!(
            "{} {id}: the handler failed: {reason}{}",
            one_line(stream),
            after_failure(*next)
        ),
        Event::BatchFailed {
            stream,
            first,
            messages,
            reason,
            next,
        } => {
            let failed = format!(
                "{} {first} and {}: the handler failed: {reason}",
                one_line(stream),
                others(messages - 1)
            );
            match next {
                // What made it fail is warned of when it stands alone.
                AfterBatch::Halves => return ui.detail(&format!("{failed}; each half is tried by itself")),
                AfterBatch::Nothing => failed + NOT_AGAIN,
            }
        }
        Event::DeadLetterRefused {
            stream,
            id,
            dead_letters,
            error,
            again_in,
        } => format!(
            "{} {id}: it cannot be added to {}: {error}; again in {}",
            one_line(stream),
            one_line(dead_letters),
            roughly(*again_in)
        ),
        Event::FewerHandlers { running, error } => format!(
            "the system starts no further handler: {error}; going on with {}",
            counted((*running).max(1) as u64, "handler")
        ),
        Event::Unhandled(count) => format!(
            "{} read and not handled; they do not come again, as --ack read asks",
            counted(*count as u64, "message")
        ),
        Event::OnlyPutOff { messages, next } => {
            return ui.status(&format!(
                "waiting for {} put off by a worker; the next is tried in {}",
                counted(*messages, "message"),
                roughly(*next)
            ));
        }
        Event::NameKept { consumer, why } => format!("the consumer {consumer} stays in the group: {why}"),
        Event::LeftBehind { done, held, consumer } => left_behind(*done, *held, consumer),
    };
    ui.warning(&warning);
}

/// Says how many messages were passed over for their names.
pub fn tell_of_passed_over(ui: Ui, count: u64) {
    if count > 0 {
        ui.status(&format!("passed over and acknowledged {}", counted(count, "message")));
    }
}

/// Says what is waited for after a signal: nothing, where no handler is at work.
pub fn tell_of_work(ui: Ui, messages: usize) {
    if messages > 0 {
        let messages = counted(messages as u64, "message");
        ui.status(&format!("finishing {messages}; again to end at once"));
    }
}

fn gone(stream: &str, ids: &[EntryId]) -> String {
    let named: Vec<_> = ids.iter().take(NAMED).map(ToString::to_string).collect();
    let more = if ids.len() > NAMED { ", …" } else { "" };
    let were = if ids.len() == 1 { "entry was" } else { "entries were" };
    format!(
        "{}: {} pending {were} deleted or trimmed before being acknowledged: {}{more}",
        one_line(stream),
        grouped(ids.len() as u64),
        named.join(", ")
    )
}

fn others(count: usize) -> String {
    match count {
        1 => "another".to_owned(),
        _ => format!("{} others", grouped(count as u64)),
    }
}

fn after_failure(next: Next) -> String {
    match next {
        Next::Retry(delay) => format!("; again in {}", roughly(delay)),
        Next::DeadLetter => "; it goes to the dead letters".to_owned(),
        Next::HandBack => "; handed back".to_owned(),
        Next::NotOurs => "; it is gone meanwhile, or another consumer's".to_owned(),
        Next::Nothing => NOT_AGAIN.to_owned(),
    }
}

fn left_behind(done: usize, held: usize, consumer: &str) -> String {
    let done = (done > 0).then(|| format!("{} done and not acknowledged", counted(done as u64, "message")));
    let held = (held > 0).then(|| format!("{} not handed back", counted(held as u64, "message")));
    let what: Vec<_> = done.into_iter().chain(held).collect();
    format!(
        "the server took no more: {}; what is pending under {consumer} is delivered again later",
        what.join(", ")
    )
}

/// How long `--timeout` was.
pub fn timeout(limit: std::time::Duration) -> String {
    exact_duration(limit.as_millis() as u64)
}
