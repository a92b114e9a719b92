//! Drawings in SVG: axes, curves, and rows of a timeline, all over the same time with the same bands behind them.

use std::fmt::Write;

/// Width of a drawing.
const WIDTH: f64 = 1000.0;
/// Room for labels on the left.
const LEFT: f64 = 190.0;
const RIGHT: f64 = 12.0;
const AXIS: f64 = 22.0;
/// Height of a row of the timeline.
const ROW: f64 = 18.0;

/// Text that HTML takes as text.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Something that lasted, drawn behind everything.
#[derive(Clone, Debug)]
pub(crate) struct Band {
    pub(crate) from: u64,
    /// The same as `from` for what happened at once.
    pub(crate) to: u64,
    pub(crate) mark: String,
    pub(crate) colour: &'static str,
    pub(crate) words: String,
}

/// The time that all drawings show.
#[derive(Clone, Debug)]
pub(crate) struct Time {
    /// The end, in microseconds; the beginning is 0.
    pub(crate) end: u64,
    pub(crate) bands: Vec<Band>,
}

/// A curve in a plot.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) name: &'static str,
    pub(crate) colour: &'static str,
    pub(crate) style: Style,
    pub(crate) points: Vec<(u64, f64)>,
}

/// How a curve is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Each value holds until the next.
    Steps,
    /// Each value is true at its instant only.
    Spikes,
}

/// What the values of a plot are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Milliseconds,
    BitsPerSecond,
}

impl Unit {
    /// How much one of the unit on the axis is, and its name.
    fn scale(self, most: f64) -> (f64, &'static str) {
        match (self, most) {
            (Unit::Milliseconds, _) => (1.0, "ms"),
            (Unit::Bytes, 0.0..2e3) => (1.0, "bytes"),
            (Unit::Bytes, 0.0..2e6) => (1e3, "kB"),
            (Unit::Bytes, _) => (1e6, "MB"),
            (Unit::BitsPerSecond, 0.0..2e6) => (1e3, "kbit/s"),
            (Unit::BitsPerSecond, _) => (1e6, "Mbit/s"),
        }
    }
}

/// A plot of curves.
#[derive(Clone, Debug)]
pub(crate) struct Plot {
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
    pub(crate) traces: Vec<Trace>,
    /// Instants marked at the bottom, with their name and colour.
    pub(crate) marks: (&'static str, &'static str, Vec<u64>),
    pub(crate) height: f64,
}

/// A row of the timeline: what something was from when to when.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) heading: bool,
    pub(crate) spans: Vec<Span>,
}

#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) colour: &'static str,
    pub(crate) words: String,
}

/// Steps of 1, 2 or 5 that divide `most` into about `count` parts.
fn step(most: f64, count: f64) -> f64 {
    let rough = (most / count).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|s| *s >= rough * 0.999).unwrap_or(10.0 * power)
}

fn number(value: f64, step: f64) -> String {
    let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$}")
}

/// Multiples of the step up to `most`.
fn ticks(most: f64, count: f64) -> Vec<(f64, String)> {
    let step = step(most, count);
    let last = (most / step + 1e-9).floor() as u32;
    (0..=last).map(|n| (f64::from(n) * step, number(f64::from(n) * step, step))).collect()
}

impl Time {
    fn x(&self, at: u64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (at.min(self.end) as f64 / self.end.max(1) as f64)
    }

    fn open(out: &mut String, height: f64, label: &str) {
        let _ = write!(out, r#"<svg viewBox="0 0 {WIDTH} {height:.0}" role="img" aria-label="{label}">"#);
    }

    /// Bands, lines of the time axis and its numbers; `top` to `bottom` is where values are.
    fn frame(&self, out: &mut String, top: f64, bottom: f64) {
        for band in self.bands.iter().filter(|band| band.from <= self.end) {
            let (x, end) = (self.x(band.from), self.x(band.to));
            let (width, height) = ((end - x).max(1.5), bottom - top);
            let _ = write!(
                out,
                r#"<rect x="{x:.1}" y="{top}" width="{width:.1}" height="{height:.1}" fill="{}" opacity=".18"><title>{}</title></rect>"#,
                band.colour,
                escape(&band.words)
            );
        }
        for (seconds, label) in ticks(self.end as f64 / 1e6, 10.0) {
            let x = self.x((seconds * 1e6) as u64);
            let _ = write!(
                out,
                r#"<path class="grid" d="M{x:.1} {top}V{bottom:.1}"/><text class="tick" x="{x:.1}" y="{:.1}" text-anchor="middle">{label} s</text>"#,
                bottom + 14.0
            );
        }
    }

    /// The marks of bands, in two lines where they would meet.
    fn marks(&self, out: &mut String, top: f64) {
        let mut free = [0.0, 0.0];
        for band in self.bands.iter().filter(|band| band.from <= self.end) {
            let x = (self.x(band.from) + self.x(band.to)) / 2.0;
            let width = 8.0 * band.mark.len() as f64 + 4.0;
            let Some(line) = free.iter().position(|free| x - width / 2.0 >= *free) else { continue };
            free[line] = x + width / 2.0;
            let y = top + 12.0 + 13.0 * line as f64;
            let _ = write!(
                out,
                r#"<text class="mark" x="{x:.1}" y="{y:.1}" text-anchor="middle" style="fill:{}">{}</text>"#,
                band.colour, band.mark
            );
        }
    }

    pub(crate) fn plot(&self, plot: &Plot) -> String {
        let mut out = String::new();
        let (top, bottom) = (24.0, plot.height - AXIS);
        let values = plot.traces.iter().flat_map(|trace| &trace.points);
        let most = values.map(|(_, value)| *value).fold(0.0, f64::max).max(1.0);
        let (scale, unit) = plot.unit.scale(most);
        let ceiling = most / scale * 1.05;
        let y = |value: f64| bottom - (bottom - top) * (value / scale / ceiling).clamp(0.0, 1.0);
        Self::open(&mut out, plot.height, plot.title);
        self.frame(&mut out, top, bottom);
        for (value, label) in ticks(ceiling, 4.0) {
            let y = y(value * scale);
            let (x, end) = (LEFT, WIDTH - RIGHT);
            let _ = write!(
                out,
                r#"<path class="grid" d="M{x} {y:.1}H{end}"/><text class="tick" x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"#,
                x - 6.0,
                y + 4.0
            );
        }
        let middle = (top + bottom) / 2.0;
        let _ = write!(
            out,
            r#"<text class="name" x="0" y="{:.1}">{}</text><text class="tick" x="0" y="{:.1}">{unit}</text>"#,
            middle - 2.0,
            plot.title,
            middle + 14.0
        );
        for trace in &plot.traces {
            let mut path = String::new();
            for (at, value) in trace.points.iter().filter(|(at, _)| *at <= self.end) {
                let (x, y) = (self.x(*at), y(*value));
                let _ = match trace.style {
                    Style::Spikes if y > bottom - 0.5 => Ok(()),
                    Style::Spikes => write!(path, "M{x:.1} {bottom}V{y:.1}"),
                    Style::Steps if path.is_empty() => write!(path, "M{x:.1} {y:.1}"),
                    Style::Steps => write!(path, "H{x:.1}V{y:.1}"),
                };
            }
            let _ = write!(out, r#"<path class="line" stroke="{}" d="{path}"/>"#, trace.colour);
        }
        let (name, colour, marks) = &plot.marks;
        let mut path = String::new();
        for at in marks.iter().filter(|at| **at <= self.end) {
            let _ = write!(path, "M{:.1} {bottom}v-8", self.x(*at));
        }
        if !path.is_empty() {
            let _ = write!(out, r#"<path class="line" stroke="{colour}" d="{path}"/>"#);
        }
        let mut legend: Vec<_> = plot.traces.iter().map(|trace| (trace.name, trace.colour)).collect();
        if !path.is_empty() {
            legend.push((*name, *colour));
        }
        Self::legend(&mut out, LEFT, 14.0, &legend);
        out + "</svg>"
    }

    /// Names beside their colours, from `x` on.
    fn legend(out: &mut String, mut x: f64, y: f64, names: &[(&str, &str)]) {
        for (name, colour) in names {
            let _ = write!(
                out,
                r#"<rect x="{x:.1}" y="{:.1}" width="14" height="5" fill="{colour}"/><text class="tick" x="{:.1}" y="{y:.1}">{name}</text>"#,
                y - 7.0,
                x + 19.0
            );
            x += 40.0 + 6.2 * name.len() as f64;
        }
    }

    pub(crate) fn timeline(&self, rows: &[Row], legend: &[(&str, &str)]) -> String {
        let mut out = String::new();
        let top = 24.0 + if self.bands.is_empty() { 0.0 } else { 30.0 };
        let bottom = top + ROW * rows.len() as f64;
        Self::open(&mut out, bottom + AXIS, "timeline");
        self.frame(&mut out, top, bottom);
        self.marks(&mut out, top - 30.0);
        Self::legend(&mut out, LEFT, 14.0, legend);
        for (number, row) in rows.iter().enumerate() {
            let y = top + ROW * number as f64;
            let (class, indent) = if row.heading { ("name", 0.0) } else { ("tick", 12.0) };
            let _ = write!(
                out,
                r#"<text class="{class}" x="{indent}" y="{:.1}">{}</text>"#,
                y + 13.0,
                escape(&row.label)
            );
            let (inset, height) = if row.heading { (7.0, 4.0) } else { (3.0, ROW - 6.0) };
            for span in row.spans.iter().filter(|span| span.from <= self.end) {
                let x = self.x(span.from);
                let _ = write!(
                    out,
                    r#"<rect x="{x:.1}" y="{:.1}" width="{:.1}" height="{height}" fill="{}"><title>{}</title></rect>"#,
                    y + inset,
                    (self.x(span.to) - x).max(1.0),
                    span.colour,
                    escape(&span.words)
                );
            }
        }
        out + "</svg>"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_that_fit() {
        let labels = |most| ticks(most, 4.0).into_iter().map(|(_, label)| label).collect::<Vec<_>>();
        assert_eq!(labels(1.0), ["0.0", "0.5", "1.0"]);
        assert_eq!(labels(7.0), ["0", "2", "4", "6"]);
        assert_eq!(labels(476.0), ["0", "200", "400"]);
        assert_eq!(labels(0.003), ["0.000", "0.001", "0.002", "0.003"]);
    }

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
    }
}
