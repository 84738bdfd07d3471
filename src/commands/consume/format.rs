//! How each message is printed, or handed to a handler.

use crate::format::Template;

#[derive(clap::Args)]
pub struct FormatArgs {
    /// Print the body alone, one on each line
    #[arg(long)]
    pub body: bool,
    /// Print each message so: '{id} {body.user.id}'
    ///
    /// There are {id}, {stream}, {time}, {name}, {body}, {body.PATH}, {fields.NAME}, {fields} and {deliveries}; what is
    /// missing is empty. {{ and }} are braces, \t is a tab
    #[arg(long, value_name = "TEMPLATE", hide_short_help = true)]
    pub template: Option<Template>,
    /// Add to each line the time at which the entry was added (RFC 3339)
    #[arg(long, hide_short_help = true)]
    pub time: bool,
    /// Print JSON over several lines, indented
    #[arg(long, hide_short_help = true)]
    pub pretty: bool,
    /// End each message with NUL instead of a line feed, for xargs -0
    #[arg(short = '0', long, hide_short_help = true)]
    pub null: bool,
}
