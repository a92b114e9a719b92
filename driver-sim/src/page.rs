//! The report of a run: one HTML file with everything in it, no script and nothing from elsewhere.

use std::fmt::Write;

use pilot_roles::role::Level;

use crate::{
    chronicle::{Changes, Chronicle, Deed, HostStory, Line, LinkStory, Story, StreamStory},
    scenario::{Report, Scenario, Verb},
};

mod plot;

use self::plot::{Band, Plot, Row, Span, Style, Time, Trace, Unit, escape};

/// Streams and links drawn; the rest is in the tables.
const MAX_PANELS: usize = 8;
/// Hosts, and rows of each, in the timeline.
const MAX_HOSTS: usize = 24;
const MAX_HOST_ROWS: usize = 12;

/// Colours that people who see fewer of them tell apart, too (Okabe and Ito).
const BLUE: &str = "#0072b2";
const SKY: &str = "#56b4e9";
const GREEN: &str = "#009e73";
const ORANGE: &str = "#e69f00";
const RED: &str = "#d55e00";
const PINK: &str = "#b8578f";
const GREY: &str = "#b5b9be";
const DARK: &str = "#5a6068";

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;color:#1d2126;max-width:1060px;margin:24px auto;padding:0 16px}\
h1{font-size:23px;margin:0 0 10px}h2{font-size:18px;margin:30px 0 6px}h3{font-size:15px;margin:20px 0 2px}\
.verdict{padding:10px 14px;border-left:6px solid;border-radius:3px;margin:10px 0;white-space:pre-wrap}\
.good{background:#e6f5ef;border-color:#009e73}.bad{background:#fbe9e0;border-color:#d55e00}\
table{border-collapse:collapse;font-size:13.5px}td,th{padding:2px 14px 2px 0;text-align:left;vertical-align:top}\
th{color:#5a6068;font-weight:600;border-bottom:1px solid #d7dade}td.n,th.n{text-align:right}\
svg{width:100%;height:auto;display:block;overflow:visible}svg text{font:12px system-ui,sans-serif;fill:#1d2126}\
svg .tick{fill:#5a6068;font-size:11.5px}svg .name{font-weight:600;font-size:12.5px}svg .mark{font-weight:700;font-size:12px}\
.grid{stroke:#e4e7ea;fill:none}.line{fill:none;stroke-width:1.5;stroke-linejoin:round}\
.key{display:inline-block;min-width:18px;font-weight:700}pre{background:#f5f6f7;padding:10px;font-size:12.5px;overflow-x:auto}\
.warn{color:#8a5a00}.error{color:#b03a00}.quiet{color:#5a6068}summary{cursor:pointer}";

/// Draws the report of a run that `chronicle` has watched. `title` is what the scenario is called.
pub fn page(title: &str, scenario: &Scenario, report: &Report, chronicle: &Chronicle) -> String {
    let story = chronicle.story();
    let time = time(report, &story);
    let mut out = String::new();
    let _ = write!(
        out,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{0}</title><style>{STYLE}</style><h1>{0}</h1>",
        escape(title)
    );
    head(&mut out, scenario, report);
    faults(&mut out, &story, &time);
    timeline(&mut out, &story, &time);
    streams(&mut out, &story, &time);
    links(&mut out, &story, &time);
    lines(&mut out, &story);
    let _ = writeln!(
        out,
        "<h2>Scenario</h2><details><summary>as a file that runs again</summary><pre>{}</pre></details></html>",
        escape(&scenario.to_toml())
    );
    out
}

fn head(out: &mut String, scenario: &Scenario, report: &Report) {
    let c = report.counters;
    let _ = match &report.breach {
        None => {
            write!(
                out,
                "<div class=\"verdict good\"><b>Every rule was kept.</b> All work was done after {:.2} s.</div>",
                report.done.unwrap_or_default().as_secs_f64()
            )
        }
        Some(breach) => write!(
            out,
            "<div class=\"verdict bad\"><b>Broken rule: {}</b> at {:.3} s.\n{}</div>",
            escape(breach.rule),
            breach.at.as_micros() as f64 / 1e6,
            escape(&breach.words)
        ),
    };
    let facts = [
        ("seed", scenario.seed.to_string()),
        ("built from", crate::COMMIT.to_owned()),
        ("hash of the run", format!("{:016x}", report.hash)),
        ("simulated", format!("{:.1} s, the last of it idle", report.time.as_secs_f64())),
        ("agents", scenario.agents.len().to_string()),
        ("datagrams", format!("{} sent, {} delivered, {} relayed", c.datagrams, c.delivered, c.relayed)),
        ("stream content", format!("{} bytes compared with what was sent", report.verified)),
    ];
    out.push_str("<table>");
    for (name, value) in facts {
        let _ = write!(out, "<tr><td class=\"quiet\">{name}<td>{}", escape(&value));
    }
    out.push_str("</table>");
}

/// What the drawings show: until everything was done, and a little more.
fn time(report: &Report, story: &Story) -> Time {
    let micros = |time: core::time::Duration| time.as_micros() as u64;
    let last_deed = story.deeds.last().map_or(0, |deed| deed.at);
    let end = match report.done {
        Some(done) => micros(done).max(last_deed) + micros(done) / 25 + 200_000,
        None => micros(report.time),
    };
    Time { end: end.max(1), bands: bands(&story.deeds, end) }
}

fn bands(deeds: &[Deed], end: u64) -> Vec<Band> {
    let mut bands: Vec<Band> = Vec::new();
    for (number, deed) in deeds.iter().enumerate() {
        let later = deeds.iter().skip(number + 1);
        let until = |verbs: &[Verb], same_host: bool| {
            let found = later
                .clone()
                .find(|other| verbs.contains(&other.verb) && (!same_host || other.hosts == deed.hosts));
            found.map_or(end, |other| other.at)
        };
        let hosts: Vec<String> = deed.hosts.iter().map(ToString::to_string).collect();
        let (to, colour, words) = match deed.verb {
            Verb::Heal | Verb::Restart | Verb::MendDisk | Verb::MendSink => continue,
            Verb::Crash => (until(&[Verb::Restart], true), RED, format!("host {} is down", hosts.join(", "))),
            Verb::Stop => {
                (until(&[Verb::Restart], true), RED, format!("host {} is stopped", hosts.join(", ")))
            }
            Verb::Partition => (
                until(&[Verb::Heal], false),
                PINK,
                format!("nothing passes between hosts {}", hosts.join(" and ")),
            ),
            Verb::PartitionOneway => (
                until(&[Verb::Heal], false),
                PINK,
                format!("nothing passes from host {}", hosts.join(" to ")),
            ),
            Verb::Clog => {
                (until(&[Verb::Heal], false), ORANGE, format!("what host {} sends waits", hosts.join(" to ")))
            }
            Verb::FailDisk => {
                (until(&[Verb::MendDisk], true), DARK, format!("the disk of host {} fails", hosts.join(", ")))
            }
            Verb::FailSink => (
                until(&[Verb::MendSink], true),
                DARK,
                format!("the endpoint of host {} fails", hosts.join(", ")),
            ),
            Verb::Rebind => (deed.at, BLUE, format!("the NAT of host {} forgets", hosts.join(", "))),
            Verb::RebindCarrier => {
                (deed.at, BLUE, format!("the provider's NAT of host {} forgets", hosts.join(", ")))
            }
            Verb::JumpClock => (deed.at, BLUE, format!("the wall clock of host {} jumps", hosts.join(", "))),
        };
        bands.push(Band { from: deed.at, to, mark: mark(bands.len()), colour, words });
    }
    bands
}

/// A, B, ... Z, AA, AB, ...
fn mark(number: usize) -> String {
    let letter = char::from(b'A' + (number % 26) as u8);
    if number < 26 { letter.to_string() } else { mark(number / 26 - 1) + &letter.to_string() }
}

fn seconds(at: u64) -> String {
    format!("{:.2} s", at as f64 / 1e6)
}

fn faults(out: &mut String, story: &Story, time: &Time) {
    if time.bands.is_empty() {
        return;
    }
    out.push_str("<h2>What was done to the network</h2><table>");
    for band in &time.bands {
        let until = if band.to > band.from { format!(" to {}", seconds(band.to)) } else { String::new() };
        let _ = write!(
            out,
            "<tr><td><span class=\"key\" style=\"color:{}\">{}</span><td>{}{until}<td>{}",
            band.colour,
            band.mark,
            seconds(band.from),
            escape(&band.words)
        );
    }
    out.push_str("</table>");
    if story.hosts.len() > 1 {
        out.push_str(
            "<p class=\"quiet\">Host 0 is the rendezvous. The same bands are behind every drawing.</p>",
        );
    }
}

/// What lasted from each change to the next.
fn spans(
    changes: &Changes,
    end: u64,
    colour: impl Fn(&str) -> Option<&'static str>,
    what: &str,
) -> Vec<Span> {
    let ends = changes.iter().skip(1).map(|(at, _)| *at).chain([end]);
    let spans = changes.iter().zip(ends).filter_map(|((from, value), to)| {
        let words = format!("{what}: {value}, {} to {}", seconds(*from), seconds(to));
        Some(Span { from: *from, to: to.max(*from), colour: colour(value)?, words })
    });
    spans.collect()
}

fn state_colour(state: &str) -> Option<&'static str> {
    match state {
        "SYN_SENT" | "SYN_RECV" => Some(ORANGE),
        "ESTABLISHED" => Some(BLUE),
        "FIN_WAIT" | "CLOSE_WAIT" => Some(SKY),
        "TIME_WAIT" | "CLOSED" => Some(GREY),
        _ => None,
    }
}

fn path_colour(via: &str) -> Option<&'static str> {
    match via {
        "direct" => Some(GREEN),
        "relay" => Some(PINK),
        _ => None,
    }
}

fn timeline(out: &mut String, story: &Story, time: &Time) {
    let mut rows = Vec::new();
    for (index, host) in story.hosts.iter().enumerate().take(MAX_HOSTS) {
        let lives =
            spans(&host.lives, time.end, |life| Some(if life == "up" { GREY } else { RED }), &host.name);
        rows.push(Row { label: format!("{index}: {}", host.name), heading: true, spans: lives });
        let mut own = Vec::new();
        for ((_, peer), changes) in story.paths.range((index, 0)..(index + 1, 0)) {
            let label = format!("path to {}", name_of(story, *peer));
            let spans = spans(changes, time.end, path_colour, &label);
            own.push(Row { label, heading: false, spans });
        }
        for (_, stream) in story.streams.range((index, 0, 0)..(index + 1, 0, 0)) {
            let label = label(story, stream);
            let spans = spans(&stream.states, time.end, state_colour, &label);
            own.push(Row { label, heading: false, spans });
        }
        own.retain(|row| row.spans.iter().any(|span| span.from < time.end));
        let more = own.len().saturating_sub(MAX_HOST_ROWS);
        own.truncate(MAX_HOST_ROWS);
        rows.append(&mut own);
        if more > 0 {
            rows.push(Row { label: format!("and {more} more"), heading: false, spans: Vec::new() });
        }
    }
    let legend = [
        ("path direct", GREEN),
        ("path relayed", PINK),
        ("stream opening", ORANGE),
        ("open", BLUE),
        ("closing", SKY),
        ("closed", GREY),
        ("host down", RED),
    ];
    let _ = write!(out, "<h2>Hosts, paths and streams</h2>{}", time.timeline(&rows, &legend));
    let left_out = story.hosts.len().saturating_sub(MAX_HOSTS);
    if left_out > 0 {
        let _ = write!(out, "<p class=\"quiet\">{left_out} more hosts are not drawn.</p>");
    }
}

fn name_of(story: &Story, node: u32) -> String {
    story.host_of(node).map_or_else(|| format!("node {node}"), |host| host.name.clone())
}

/// The node in the text form of an address: its last two groups of four hexadecimal digits.
fn node_of(remote: &str) -> Option<(u32, &str)> {
    let (address, port) = remote.rsplit_once(':')?;
    let (_, groups) = address.split_once(':')?;
    let digits: String = groups.split('.').skip(1).collect();
    Some((u32::from_str_radix(&digits, 16).ok()?, port))
}

fn label(story: &Story, stream: &StreamStory) -> String {
    let (name, port) = match node_of(&stream.remote) {
        Some((node, port)) => (name_of(story, node), port),
        None => (stream.remote.clone(), ""),
    };
    format!("stream {} – {name} {port}", stream.port)
}

fn streams(out: &mut String, story: &Story, time: &Time) {
    let sent = |stream: &StreamStory| stream.samples.points.last().map_or(0, |(_, sample)| sample.sent);
    let mut senders: Vec<_> = story.streams.iter().filter(|(_, stream)| sent(stream) > 0).collect();
    senders.sort_by_key(|(_, stream)| std::cmp::Reverse(sent(stream)));
    let _ = write!(out, "<h2>Streams that sent something</h2>");
    if senders.is_empty() {
        out.push_str("<p class=\"quiet\">None did.</p>");
        return;
    }
    out.push_str(
        "<table><tr><th>host<th>stream<th class=\"n\">sent<th class=\"n\">acknowledged<th class=\"n\">goodput\
         <th class=\"n\">round trip<th class=\"n\">segments sent again",
    );
    for ((host, ..), stream) in senders.iter().take(5 * MAX_PANELS) {
        let Some((_, last)) = stream.samples.points.last() else { continue };
        let _ = write!(
            out,
            "<tr><td>{}<td>{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{:.1} ms<td class=\"n\">{}",
            escape(&host_name(story, *host)),
            escape(&label(story, stream)),
            bytes(last.sent),
            bytes(last.acked),
            rate(stream),
            last.srtt_us as f64 / 1e3,
            last.retransmits
        );
    }
    out.push_str("</table>");
    let left_out = senders.len().saturating_sub(MAX_PANELS);
    for ((host, ..), stream) in senders.into_iter().take(MAX_PANELS) {
        let _ =
            write!(out, "<h3>{}, {}</h3>", escape(&host_name(story, *host)), escape(&label(story, stream)));
        for plot in plots(stream, time) {
            out.push_str(&time.plot(&plot));
        }
    }
    if left_out > 0 {
        let _ = write!(out, "<p class=\"quiet\">{left_out} smaller ones are not drawn.</p>");
    }
}

fn host_name(story: &Story, host: usize) -> String {
    story.hosts.get(host).map_or_else(|| format!("host {host}"), |host: &HostStory| host.name.clone())
}

fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        _ => format!("{:.1} MB", count as f64 / 1e6),
    }
}

/// What was acknowledged between the first byte and the last, in bits a second.
fn rate(stream: &StreamStory) -> String {
    let points = &stream.samples.points;
    let first = points.iter().find(|(_, sample)| sample.sent > 0);
    let most = points.last().map_or(0, |(_, sample)| sample.acked);
    let last = points.iter().find(|(_, sample)| sample.acked == most);
    match (first, last) {
        (Some((from, _)), Some((to, _))) if to > from => {
            format!("{:.2} Mbit/s", most as f64 * 8.0 / (to - from) as f64)
        }
        _ => "–".into(),
    }
}

fn plots(stream: &StreamStory, time: &Time) -> Vec<Plot> {
    let samples = &stream.samples.points;
    let of = |value: &dyn Fn(&crate::Sample) -> f64| samples.iter().map(|(at, s)| (*at, value(s))).collect();
    let again = samples.windows(2).filter_map(|pair| match pair {
        [(_, before), (at, after)] => (after.retransmits > before.retransmits).then_some(*at),
        _ => None,
    });
    let trace = |name, colour, points| Trace { name, colour, style: Style::Steps, points };
    vec![
        Plot {
            title: "window, in flight",
            unit: Unit::Bytes,
            traces: vec![
                trace("in flight", SKY, of(&|s| s.in_flight.into())),
                trace("congestion window", BLUE, of(&|s| s.cwnd.into())),
            ],
            marks: ("segment sent again", RED, again.collect()),
            height: 170.0,
        },
        Plot {
            title: "round trip",
            unit: Unit::Milliseconds,
            traces: vec![trace("smoothed round trip", PINK, of(&|s| s.srtt_us as f64 / 1e3))],
            marks: ("", GREY, Vec::new()),
            height: 110.0,
        },
        Plot {
            title: "goodput",
            unit: Unit::BitsPerSecond,
            traces: vec![trace("acknowledged a second", GREEN, goodput(stream, time))],
            marks: ("", GREY, Vec::new()),
            height: 110.0,
        },
    ]
}

/// Bits acknowledged a second, in bins of a hundredth of the time shown.
fn goodput(stream: &StreamStory, time: &Time) -> Vec<(u64, f64)> {
    let bin = (time.end / 100).max(10_000);
    let mut points = Vec::new();
    let mut samples = stream.samples.points.iter().peekable();
    let (mut acked, mut at) = (0, samples.peek().map_or(0, |(at, _)| at / bin * bin));
    while samples.peek().is_some() {
        let before = acked;
        while let Some((_, sample)) = samples.next_if(|(when, _)| *when < at + bin) {
            acked = sample.acked.max(acked);
        }
        points.push((at, (acked - before) as f64 * 8e6 / bin as f64));
        at += bin;
    }
    points.push((at, 0.0));
    points
}

fn links(out: &mut String, story: &Story, time: &Time) {
    let busy = |link: &LinkStory| link.bytes;
    let mut links: Vec<_> = story.links.iter().collect();
    links.sort_by_key(|(_, link)| std::cmp::Reverse(busy(link)));
    let _ = write!(
        out,
        "<h2>Links</h2><table><tr><th>from<th>to<th class=\"n\">datagrams<th class=\"n\">bytes<th class=\"n\">most queued<th>lost"
    );
    let peak = |link: &LinkStory| link.queue.points.iter().map(|(_, queued)| *queued).max().unwrap_or(0);
    for ((from, to), link) in links.iter().take(4 * MAX_PANELS) {
        let lost: Vec<String> =
            link.lost.iter().map(|(why, count)| format!("{count} {}", why.words())).collect();
        let _ = write!(
            out,
            "<tr><td>{}<td>{}<td class=\"n\">{}<td class=\"n\">{}<td class=\"n\">{}<td>{}",
            escape(&host_name(story, *from)),
            escape(&host_name(story, *to)),
            link.datagrams,
            bytes(link.bytes),
            bytes(peak(link)),
            if lost.is_empty() { "–".into() } else { lost.join(", ") }
        );
    }
    out.push_str("</table>");
    if links.len() > 4 * MAX_PANELS {
        let _ = write!(
            out,
            "<p class=\"quiet\">{} less busy ones are left out.</p>",
            links.len() - 4 * MAX_PANELS
        );
    }
    for ((from, to), link) in links.into_iter().filter(|(_, link)| peak(link) > 0).take(MAX_PANELS) {
        let points = link.queue.points.iter().map(|(at, queued)| (*at, *queued as f64)).collect();
        let plot = Plot {
            title: "queue",
            unit: Unit::Bytes,
            traces: vec![Trace {
                name: "bytes waiting for their turn",
                colour: ORANGE,
                style: Style::Spikes,
                points,
            }],
            marks: ("", GREY, Vec::new()),
            height: 110.0,
        };
        let (from, to) = (host_name(story, *from), host_name(story, *to));
        let _ = write!(out, "<h3>{} to {}</h3>{}", escape(&from), escape(&to), time.plot(&plot));
    }
}

fn lines(out: &mut String, story: &Story) {
    let loud = |line: &Line| line.level >= Level::Warn;
    let count = story.lines.iter().filter(|line| loud(line)).count();
    let _ = write!(
        out,
        "<h2>Logs</h2><details{}><summary>{} lines, {count} of them warnings or errors</summary><table>",
        if count > 0 { " open" } else { "" },
        story.lines.len()
    );
    for line in &story.lines {
        let class = match line.level {
            Level::Error => "error",
            Level::Warn => "warn",
            _ => "quiet",
        };
        let _ = write!(
            out,
            "<tr class=\"{class}\"><td class=\"n\">{:.3} s<td>{}<td>{}",
            line.at as f64 / 1e6,
            escape(&host_name(story, line.host)),
            escape(&line.words)
        );
    }
    out.push_str("</table></details>");
}
