use super::super::model::tests::stream;
use super::super::view::Detail;
use super::*;
use crate::streamer::{ConsumerInfo, EntryId, PendingEntry, RawName};
use crate::ui::Key;

/// A stream that nobody reads, one far behind, one up to date, and one of a long name.
fn model() -> Model {
    let long = "n".repeat(150);
    let mut model = Model::default();
    for at in 0..=8u64 {
        let streams = vec![
            stream("calm", 10, 10, 0, 1),
            stream("lonely", 7, 2, 0, 0),
            stream("orders", 1_000_000 + at * 400, at * 500, 12, 3),
            stream(&long, 50, 50, 0, 1),
        ];
        model.update(at * 2000, streams);
    }
    model
}

fn lines(view: &View, letters: Letters, (width, height): (u16, u16)) -> Vec<String> {
    let model = model();
    let scene = Scene {
        model: &model,
        view,
        server: "127.0.0.1:6379",
        interval: Duration::from_secs(2),
        status: &Status::Well,
        letters,
    };
    let text = |line: Line| line.into_iter().map(|span| span.text).collect::<String>();
    frame(&scene, width, height).into_iter().map(text).collect()
}

fn group_page() -> View {
    let names = || (RawName::from("orders"), RawName::from("orders:g:cg"));
    let (stream, group) = names();
    let mut view = View::new(Page::Group { stream, group });
    let entry = |ms: u64| PendingEntry {
        id: EntryId::at_ms(1_700_000_000_000 + ms),
        consumer: RawName::from("billing.host.1234.0badcafe"),
        idle_ms: Some(61_000),
        deliveries: 2,
    };
    let consumer = |number: u64| ConsumerInfo {
        name: RawName::from(format!("billing.host.{number}.0badcafe").as_str()),
        pending: number,
        idle_ms: 5,
        inactive_ms: None,
    };
    view.detail = Some(Detail {
        consumers: (0..40).map(consumer).collect(),
        entries: (0..100).map(entry).collect(),
        entry: None,
    });
    view
}

fn entry_page() -> View {
    let mut view = View::new(Page::Entry {
        stream: RawName::from("orders"),
        group: RawName::from("orders:g:cg"),
        id: EntryId::at_ms(5),
    });
    view.detail = Some(Detail {
        entry: Some(vec![
            "{".to_owned(),
            format!("  \"k\": \"{}\"", "日本語x".repeat(50)),
            "}".to_owned(),
        ]),
        ..Detail::default()
    });
    view
}

#[test]
fn no_line_is_wider_than_the_screen() {
    let mut help = View::new(Page::Streams);
    help.press(Key::Char('?'), &Model::default());
    let mut typing = View::new(Page::Streams);
    typing.press(Key::Char('/'), &Model::default());
    typing.filter = "o".repeat(300);
    for view in [View::new(Page::Streams), group_page(), entry_page(), help, typing] {
        for letters in [Letters::Unicode, Letters::Ascii] {
            for (width, height) in [(60, 24), (80, 24), (120, 30), (200, 50), (20, 5), (1, 1)] {
                let lines = lines(&view, letters, (width, height));
                assert_eq!(lines.len(), usize::from(height));
                for line in &lines {
                    let is_tiny = width < 60;
                    assert!(is_tiny || line.width() <= usize::from(width), "{width}: {line:?}");
                }
            }
        }
    }
}

#[test]
fn streams_stand_above_their_groups_with_what_needs_attention_first() {
    let view = View::new(Page::Streams);
    let shown = lines(&view, Letters::Unicode, (80, 24));
    assert_eq!(
        shown[..8],
        [
            "pending on 127.0.0.1:6379                                               every 2s",
            "4 streams, 4 groups, sorted by behind; 1 group that nobody reads",
            "",
            "  STREAM / GROUP                  LAG  PENDING   BEHIND    IN/s   OUT/s    DRAIN",
            "  orders                                                    200                 ",
            ">   g:cg                         999k       12  11d 13h             250   5h 33m",
            "  lonely                                                      0                 ",
            " !  g:cg                            5        0       5s               0    never",
        ],
        "{}",
        shown.join("\n")
    );
    let wide = lines(&view, Letters::Unicode, (120, 24)).join("\n");
    assert!(wide.contains("████████") && wide.contains("nobody reads"), "{wide}");
    let ascii = lines(&view, Letters::Ascii, (120, 24)).join("\n");
    assert!(ascii.is_ascii() && ascii.contains("########"), "{ascii}");
}

#[test]
fn where_there_is_little_room_what_nobody_reads_is_said_in_few_words() {
    let view = View::new(Page::Streams);
    for (width, heading) in [
        (60, "4 streams, 4 groups, sorted by behind; 1 unread"),
        (40, "4 streams, 4 gr…rted by behind; 1 unread"),
    ] {
        assert_eq!(lines(&view, Letters::Unicode, (width, 24))[1], heading);
    }
}

#[test]
fn a_selection_is_always_on_the_screen() {
    let mut view = View::new(Page::Streams);
    for _ in 0..3 {
        view.press(Key::Down, &model());
    }
    for height in 6..30 {
        let shown = lines(&view, Letters::Ascii, (80, height));
        assert!(
            shown.iter().any(|line| line.starts_with("> ")),
            "{height}: {}",
            shown.join("\n")
        );
    }
    let mut view = group_page();
    for _ in 0..70 {
        view.press(Key::Down, &model());
    }
    let shown = lines(&view, Letters::Ascii, (80, 24));
    assert!(
        shown.iter().any(|line| line.starts_with("> 1700000000070-0 ")),
        "{}",
        shown.join("\n")
    );
    assert!(
        shown.iter().any(|line| line.starts_with("and ")),
        "{}",
        shown.join("\n")
    );
}

#[test]
fn trouble_is_told_on_a_line_of_its_own() {
    let (model, view) = (model(), View::new(Page::Streams));
    let scene = |status| {
        let scene = Scene {
            model: &model,
            view: &view,
            server: "a",
            interval: Duration::from_millis(500),
            status,
            letters: Letters::Ascii,
        };
        frame(&scene, 80, 24)
    };
    let lost = Status::Trouble("lost the connection\u{1b}[2J".to_owned());
    let shown = scene(&lost);
    assert_eq!(shown[1], [Span::styled("lost the connection\\u{1b}[2J", Some(ERROR))]);
    assert_eq!(shown[2][0].text, scene(&Status::Well)[1][0].text);
    assert_eq!(scene(&Status::Waiting)[1][0].text, "connecting ...");
}
