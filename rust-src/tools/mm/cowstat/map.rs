// SPDX-License-Identifier: GPL-2.0

//! `cowstat map`: the address space of a process, shaded by how much of it was copied.

use crate::fail;
use crate::maps::Maps;
use crate::out::Count;
use crate::out::Faults;
use crate::out::Out;
use crate::out::Safe;
use crate::out::Xml;
use crate::put;
use crate::term;
use crate::view::Image;
use crate::view::Name;
use crate::view::Part;
use crate::view::Source;
use crate::view::Vma;
use crate::Fail;
use crate::Options;
use core::iter::Peekable;
use rt::Args;

const PAGE: u64 = 4096;
const MIB: u64 = 1 << 20;
/// How many lines of cells a mapping may take, before cells become larger than 2 MiB.
const LINES: u64 = 4;

/// The shades: faults per 100 pages from which on, a character, a colour of 256, and one in SVG.
const SHADES: [(u64, char, u8, &str); 6] = [
    (0, ' ', 236, "#f2f2f2"),
    (0, '.', 22, "#fee391"),
    (1, ':', 58, "#fec44f"),
    (10, '+', 130, "#fe9929"),
    (50, '*', 166, "#d95f0e"),
    (100, '#', 196, "#993404"),
];
const LABELS: [&str; 6] = ["none", "<1%", "<10%", "<50%", "<100%", ">=100%"];

/// Returns the index of the shade for so many faults in so many bytes.
fn shade(faults: u64, bytes: u64) -> usize {
    let percent = faults.saturating_mul(100) / bytes.div_ceil(PAGE);
    match faults {
        0 => 0,
        _ => (1..SHADES.len())
            .rev()
            .find(|&i| percent >= SHADES[i].0)
            .unwrap_or(1),
    }
}

/// How mappings are drawn.
struct Layout<'a> {
    name: Name<'a>,
    image: Image,
    /// The bytes of a cell, and the cells of a line.
    cell: u64,
    width: u64,
}

impl<'a> Layout<'a> {
    /// Chooses a size for cells with which the largest mapping fits.
    fn new(name: Name<'a>, image: Image, width: u64) -> Self {
        let sizes = name.vmas(&image).map(|vma| vma.end - vma.start);
        let largest = sizes.max().unwrap_or(0);
        let mut cell = 2 * MIB;
        while largest.div_ceil(cell) > LINES * width {
            cell *= 2;
        }
        Layout {
            name,
            image,
            cell,
            width,
        }
    }

    /// Returns the mappings that are drawn: those with faults, and large ones.
    fn drawn(&self) -> impl Iterator<Item = Vma> + use<'a> {
        let all = self.name.vmas(&self.image);
        all.filter(|vma| vma.faults != 0 || vma.end - vma.start >= 2 * MIB)
    }

    /// Returns the lines of a mapping, and of each the addresses of its cells.
    fn lines(&self, vma: &Vma) -> impl Iterator<Item = impl Iterator<Item = (u64, u64)>> {
        let (cell, width, vma) = (self.cell, self.width, *vma);
        let last = (vma.end - 1) / cell;
        let lines = (vma.start / cell..=last).step_by(width as usize);
        lines.map(move |first| {
            let cells = first..=last.min(first + width - 1);
            cells.map(move |i| ((i * cell).max(vma.start), ((i + 1) * cell).min(vma.end)))
        })
    }

    /// Returns what tells the shades of mappings, which are to be asked for in address order.
    fn shades(&self) -> Shades<impl Iterator<Item = Part> + use<'a>> {
        Shades {
            parts: self.name.parts(&self.image).peekable(),
            are_known: false,
        }
    }

    /// Returns how many mappings are not drawn, and their size in MiB.
    fn left_out(&self) -> (usize, u64) {
        let size = |vma: Vma| vma.end - vma.start;
        let (all, drawn) = (self.name.vmas(&self.image), self.drawn());
        let count = all.count() - drawn.count();
        let bytes = self.name.vmas(&self.image).map(size).sum::<u64>();
        (count, (bytes - self.drawn().map(size).sum::<u64>()) / MIB)
    }
}

/// Tells the shades of cells, in address order.
struct Shades<I: Iterator<Item = Part>> {
    parts: Peekable<I>,
    /// Whether the parts of the current mapping are known.
    are_known: bool,
}

impl<I: Iterator<Item = Part>> Shades<I> {
    /// Returns the shade of the cell at these addresses of a mapping.
    fn of(&mut self, vma: &Vma, (start, end): (u64, u64)) -> usize {
        if start == vma.start {
            let next = self.parts.peek();
            self.are_known = next.is_some_and(|part| part.start < vma.end);
        }
        if !self.are_known {
            return shade(vma.faults, vma.end - vma.start);
        }
        let mut faults = 0;
        while let Some(part) = self.parts.next_if(|part| part.start < end) {
            faults += part.faults;
        }
        shade(faults, end - start)
    }
}

/// Draws the image of a name with the most faults, of those that are alive if there are any.
pub fn run(options: &Options, args: Args, name: &[u8]) -> Fail<i32> {
    let mut source = Source::new(options.file)?;
    let mut maps = Maps::new(source.is_live())?;
    let snapshot = source.read()?;
    let shown = Safe(name);

    let name = snapshot.expect(name)?;
    let Some(image) = name
        .images()
        .max_by_key(|image| (image.live != 0, image.faults))
    else {
        fail!("no process has had the name {shown} since it has been tracked: nothing to draw");
    };
    match options.svg {
        Some(path) => {
            let mut out = Out::create(path)?;
            svg(&mut out, &Layout::new(name, image, 64), &mut maps);
            out.finish()?;
        }
        None => {
            let is_screen = options.output.is_none() && term::is_capable(args);
            let cols = if is_screen { term::size().1 } else { 80 };
            let layout = Layout::new(name, image, cols.clamp(60, 1000) as u64 - 48);
            let mut out = options.out(1)?;
            text(&mut out, &layout, &mut maps, is_screen);
            out.finish()?;
        }
    }
    Ok(0)
}

/// What a map cannot tell.
const AVERAGE: &str = "It has ended, so all cells of a mapping have its average.";

/// Returns the name of a mapping: of a file, without its folder.
fn short(name: Option<&[u8]>) -> &[u8] {
    match name {
        None => b"?",
        Some(b"") => b"anonymous",
        Some(name) if name[0] != b'/' => name,
        Some(name) => name.rsplit(|&byte| byte == b'/').next().unwrap_or(name),
    }
}

/// Starts and ends a shade.
fn colour(out: &mut Out, shade: usize, is_screen: bool) {
    if is_screen {
        put!(out, "\x1b[48;5;{}m", SHADES[shade].2);
    }
}

fn reset(out: &mut Out, is_screen: bool) {
    if is_screen {
        put!(out, "\x1b[0m");
    }
}

fn text(out: &mut Out, layout: &Layout<'_>, maps: &mut Maps, is_screen: bool) {
    let image = &layout.image;
    put!(out, "{}, image {}: ", Safe(layout.name.name), image.id);
    put!(out, "{}, ", Faults(image.faults));
    put!(out, "{} of them in these mappings\n", Count(image.mapped));
    put!(
        out,
        "A cell is up to {} MiB.\nCopied, of its pages:",
        layout.cell / MIB
    );
    for (i, label) in LABELS.iter().enumerate() {
        put!(out, " [");
        colour(out, i, is_screen);
        put!(out, "{}", SHADES[i].1);
        reset(out, is_screen);
        put!(out, "] {label}");
    }
    if image.live == 0 {
        put!(out, "\n{AVERAGE}");
    }
    put!(out, "\n\n         ADDRESS       KiB    FAULTS\n");

    let mut names = maps.of(image);
    let mut shades = layout.shades();
    for vma in layout.drawn() {
        let name = short(names.of(&vma));
        for line in layout.lines(&vma) {
            let mut line = line.peekable();
            let address = line.peek().map_or(0, |cell| cell.0);
            if address == vma.start {
                let kib = (vma.end - vma.start) / 1024;
                put!(out, "{address:16x}{kib:10}{:10} ", Count(vma.faults));
            } else {
                put!(out, "{address:16x}{:20} ", "");
            }
            for cell in line {
                let shade = shades.of(&vma, cell);
                colour(out, shade, is_screen);
                put!(out, "{}", SHADES[shade].1);
            }
            reset(out, is_screen);
            let is_first = address == vma.start;
            put!(out, " {}\n", Safe(if is_first { name } else { b"" }));
        }
    }
    let (count, mib) = layout.left_out();
    put!(
        out,
        "\nSmaller mappings without faults are left out: {count}, {mib} MiB.\n"
    );
}

fn svg(out: &mut Out, layout: &Layout<'_>, maps: &mut Maps) {
    const CELL: u64 = 9;
    const LINE: u64 = 14;
    const LEFT: u64 = 130;
    const TOP: u64 = 100;

    let image = &layout.image;
    let lines = layout
        .drawn()
        .map(|vma| layout.lines(&vma).count() as u64)
        .sum::<u64>();
    let right = LEFT + layout.width * CELL;
    let (width, bottom) = (right + 420, TOP + lines * LINE);
    put!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" "
    );
    put!(
        out,
        "height=\"{}\" font-family=\"monospace\" font-size=\"11\">\n",
        bottom + 30
    );
    put!(
        out,
        "<defs><pattern id=\"cells\" width=\"{CELL}\" height=\"{LINE}\" "
    );
    put!(
        out,
        "patternUnits=\"userSpaceOnUse\" x=\"{LEFT}\"><path d=\"M0 0V{LINE}\" "
    );
    put!(out, "stroke=\"#fff\"/></pattern></defs>\n");
    put!(
        out,
        "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    put!(
        out,
        "<text x=\"10\" y=\"20\" font-size=\"15\">{}, ",
        Xml(layout.name.name)
    );
    put!(
        out,
        "image {}: {} by copy-on-write</text>\n",
        image.id,
        Faults(image.faults)
    );
    put!(
        out,
        "<text x=\"10\" y=\"38\">A cell is up to {} MiB. ",
        layout.cell / MIB
    );
    put!(
        out,
        "{}</text>\n",
        if image.live == 0 { AVERAGE } else { "" }
    );

    put!(
        out,
        "<text x=\"10\" y=\"58\">Copied, of its pages:</text>\n"
    );
    for (i, label) in LABELS.iter().enumerate() {
        let x = 170 + i as u64 * 90;
        put!(
            out,
            "<rect x=\"{x}\" y=\"49\" width=\"{CELL}\" height=\"{CELL}\" "
        );
        put!(out, "fill=\"{}\" stroke=\"#999\"/>", SHADES[i].3);
        put!(
            out,
            "<text x=\"{}\" y=\"58\">{}</text>\n",
            x + 14,
            Xml(label.as_bytes())
        );
    }
    // The axis: from the first address of a line on.
    for tick in (0..=layout.width).step_by(16) {
        let x = LEFT + tick * CELL;
        put!(
            out,
            "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">",
            TOP - 12
        );
        put!(out, "+{} MiB</text>", tick * layout.cell / MIB);
        put!(
            out,
            "<path d=\"M{x} {}V{bottom}\" stroke=\"#ddd\"/>\n",
            TOP - 8
        );
    }

    let mut names = maps.of(image);
    let mut shades = layout.shades();
    let mut y = TOP;
    for vma in layout.drawn() {
        let name = names.of(&vma);
        for line in layout.lines(&vma) {
            let mut line = line.peekable();
            let address = line.peek().map_or(0, |cell| cell.0);
            let (base, high) = (y + LINE - 4, LINE - 2);
            put!(
                out,
                "<text x=\"{}\" y=\"{base}\" text-anchor=\"end\">",
                LEFT - 6
            );
            put!(out, "{address:x}</text>");
            let mut x = LEFT;
            for cell in line {
                let fill = SHADES[shades.of(&vma, cell)].3;
                put!(out, "<rect x=\"{x}\" y=\"{y}\" width=\"{CELL}\" ");
                put!(out, "height=\"{high}\" fill=\"{fill}\"/>");
                x += CELL;
            }
            put!(out, "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{}\" ", x - LEFT);
            put!(out, "height=\"{high}\" fill=\"url(#cells)\"/>");
            if address == vma.start {
                let name =
                    name.map_or(
                        &b"?"[..],
                        |name| if name.is_empty() { b"anonymous" } else { name },
                    );
                put!(out, "<text x=\"{}\" y=\"{base}\">", right + 8);
                put!(out, "{} in {}", Count(vma.faults), Xml(name));
                put!(out, ", {} KiB</text>", (vma.end - vma.start) / 1024);
            }
            put!(out, "\n");
            y += LINE;
        }
    }
    let (count, mib) = layout.left_out();
    put!(
        out,
        "<text x=\"10\" y=\"{}\">Smaller mappings without faults are left out: ",
        bottom + 20
    );
    put!(out, "{count}, {mib} MiB.</text>\n</svg>\n");
}
