//! The growth as a picture: a panel for what grows, both axes logarithmic, everything in multiples of the smallest size.

#![expect(clippy::float_arithmetic, reason = "a picture decides nothing")]

use crate::{Growth, Measured};

const PANEL: f64 = 260.0;
const MARGIN: f64 = 50.0;
const HEIGHT: f64 = 260.0;

struct Curve {
    name: &'static str,
    style: &'static str,
    value: fn(&Measured) -> u64,
}

const CURVES: [Curve; 3] = [
    Curve { name: "size", style: "stroke=\"#999\" stroke-dasharray=\"2 4\"", value: |line| line.size },
    Curve { name: "requests", style: "stroke=\"#0a6\" stroke-dasharray=\"7 3\"", value: |line| line.requests },
    Curve { name: "time", style: "stroke=\"#c30\" stroke-width=\"2\"", value: |line| line.wall_us },
];

/// The picture as SVG.
pub fn draw(growths: &[Growth]) -> String {
    let width = growths.len() as f64 * (PANEL + MARGIN) + MARGIN;
    let height = HEIGHT + 2.0 * MARGIN + 20.0;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <title>Time and requests of a run, in multiples of the smallest size</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for (number, growth) in growths.iter().enumerate() {
        panel(growth, MARGIN + number as f64 * (PANEL + MARGIN), &mut out);
    }
    for (number, Curve { name, style, .. }) in CURVES.iter().enumerate() {
        let (x, y) = (MARGIN + number as f64 * 120.0, height - 14.0);
        out += &format!(
            "<line x1=\"{x:.0}\" y1=\"{y:.0}\" x2=\"{:.0}\" y2=\"{y:.0}\" fill=\"none\" {style}/><text x=\"{:.0}\" y=\"{:.0}\">{name}</text>\n",
            x + 30.0,
            x + 36.0,
            y + 4.0
        );
    }
    out + "</svg>\n"
}

fn panel(growth: &Growth, left: f64, out: &mut String) {
    let Some(first) = growth.lines.first() else { return };
    let factor = |line: &Measured, value: fn(&Measured) -> u64| value(line).max(1) as f64 / value(first).max(1) as f64;
    let all = growth.lines.iter().flat_map(|line| CURVES.iter().map(move |curve| factor(line, curve.value)));
    let top = all.fold(10.0_f64, f64::max).log10().ceil();
    let widest = growth.lines.iter().map(|line| factor(line, |line| line.size)).fold(1.5_f64, f64::max).log10();
    let x = |line: &Measured| left + factor(line, |line| line.size).log10() / widest * PANEL;
    let y = |factor: f64| MARGIN + HEIGHT - factor.max(0.5).log10() / top * HEIGHT;
    *out += &format!(
        "<rect x=\"{left:.0}\" y=\"{MARGIN:.0}\" width=\"{PANEL:.0}\" height=\"{HEIGHT:.0}\" fill=\"none\" stroke=\"#ccc\"/>\n\
         <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\" font-size=\"13\">{}</text>\n",
        left + PANEL / 2.0,
        MARGIN - 12.0,
        growth.what
    );
    let mut power = 0.0;
    while power <= top {
        let height = y(10.0_f64.powf(power));
        *out += &format!(
            "<line x1=\"{left:.0}\" y1=\"{height:.1}\" x2=\"{:.0}\" y2=\"{height:.1}\" stroke=\"#eee\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">×{:.0}</text>\n",
            left + PANEL,
            left - 4.0,
            height + 4.0,
            10.0_f64.powf(power)
        );
        power += 1.0;
    }
    for line in &growth.lines {
        *out += &format!(
            "<text x=\"{:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>\n",
            x(line),
            MARGIN + HEIGHT + 14.0,
            line.size
        );
    }
    for Curve { style, value, .. } in CURVES {
        let points: Vec<String> =
            growth.lines.iter().map(|line| format!("{:.1},{:.1}", x(line), y(factor(line, value)))).collect();
        *out += &format!("<polyline points=\"{}\" fill=\"none\" {style}/>\n", points.join(" "));
    }
}
