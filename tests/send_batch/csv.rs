//! Rows of CSV.

use super::{SENT_1, SENT_2, THREE, batch};
use crate::harness::Server;

#[test]
fn csv_rows_become_objects_in_the_order_of_the_header() {
    let server = Server::start();
    batch(&server)
        .args(["--input", "csv", "--name", "row"])
        .stdin("zip,name\n01234,\"Doe, \"\"J\"\"\"\n5,\"two\nlines\"\n")
        .stderr_like(SENT_2)
        .run();
    let expected = [
        r#"{"zip":"01234","name":"Doe, \"J\""}"#,
        r#"{"zip":"5","name":"two\nlines"}"#,
    ];
    assert_eq!(server.bodies("s"), expected);
}

#[test]
fn a_csv_row_of_another_width_is_bad() {
    let server = Server::start();
    batch(&server)
        .args(["--input", "csv", "--name", "row"])
        .stdin("a,b\n1,2\n3\n")
        .status(1)
        .stderr_has(["error: ", "stdin:3"])
        .run();
    assert_eq!(server.bodies("s"), [r#"{"a":"1","b":"2"}"#]);
}

#[test]
fn rejects_of_csv_have_one_header() {
    let server = Server::start();
    for (file, text) in [
        ("a.csv", "x,y\n1,2,3\n"),
        ("b.csv", "x,y\n4\n5,6\n"),
        ("c.csv", "y,x\n7\n"),
    ] {
        server.file(file, text);
    }
    let send = |files: &[&str]| {
        let csv = ["--input", "csv", "--name", "row", "--rejects", "bad.csv"];
        batch(&server).args(files).args(csv).status(1)
    };
    send(&["a.csv", "b.csv"]).stderr_any().run();
    assert_eq!(server.read("bad.csv"), "x,y\n1,2,3\n4\n");
    assert_eq!(server.bodies("s"), [r#"{"x":"5","y":"6"}"#]);
    // Below another header the columns would be others: the line is named instead.
    send(&["a.csv", "c.csv"]).stderr_has(["c.csv:2", "headers"]).run();
    assert_eq!(server.read("bad.csv"), "x,y\n1,2,3\n");
}

#[test]
fn other_characters_part_the_columns_of_csv() {
    let server = Server::start();
    let csv = ["--input", "csv", "--name", "row"];
    for (delimiter, text) in [
        (";", "a;b\n1,5;\"x;\ny\"\n"),
        ("\\t", "a\tb\n1,5\t\"x;\ny\"\n"),
        ("\t", "a\tb\n1,5\t\"x;\ny\"\n"),
        ("|", "a|b\n1,5|\"x;\ny\"\n"),
    ] {
        let run = batch(&server).args(csv).args(["--csv-delimiter", delimiter]);
        run.stdin(text).stderr_like(SENT_1).run();
    }
    assert_eq!(server.bodies("s"), vec![r#"{"a":"1,5","b":"x;\ny"}"#; 4]);
    for delimiter in ["", ";;", "é", "\"", "\n"] {
        let run = batch(&server).args(csv).args(["--csv-delimiter", delimiter]);
        run.status(2).stderr_has(["error: ", "--csv-delimiter"]).run();
    }
    let run = batch(&server).args(["--csv-delimiter", ";"]).stdin(THREE);
    run.status(2)
        .stderr_has(["--csv-delimiter is for CSV", "--input csv"])
        .run();
}

#[test]
fn a_header_of_one_column_with_another_delimiter_in_it_is_asked_about() {
    let server = Server::start();
    let csv = || batch(&server).args(["--input", "csv", "--name", "row"]);
    for (text, option) in [("a;b\n1;2\n", "';'"), ("a\tb\n1\t2\n", "'\\t'")] {
        let hint = format!("hint: if that parts its columns: --csv-delimiter {option}");
        let said = [
            &format!("  caused by: stdin:1:1: the header is one column, with {option} in it"),
            &hint,
        ];
        csv().arg("-q").stdin(text).status(1).stderr_has(said).run();
    }
    assert_eq!(server.cli(["EXISTS", "s"]), "0");
    // It may be one column.
    csv()
        .args(["--csv-delimiter", ","])
        .stdin("a;b\n1;2\n")
        .stderr_like(SENT_1)
        .run();
    csv().stdin("a;b,c\n1,2\n").stderr_like(SENT_1).run();
    assert_eq!(server.bodies("s"), [r#"{"a;b":"1;2"}"#, r#"{"a;b":"1","c":"2"}"#]);
}
