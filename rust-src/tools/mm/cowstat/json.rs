// SPDX-License-Identifier: GPL-2.0

//! A snapshot in JSON. For the schema, see cowstat(8).

use crate::maps::Maps;
use crate::out::Json;
use crate::out::Out;
use crate::put;
use crate::report::Gaps;
use crate::since::Since;
use crate::view::Image;
use crate::view::Name;
use crate::view::Snapshot;
use rt::sys;

/// A command that has ended.
pub struct Command {
    pub pid: i32,
    pub status: i32,
    pub ns: u64,
}

/// Writes a comma before each item but the first.
struct Items(bool);

impl Items {
    fn next(&mut self, out: &mut Out) {
        if core::mem::replace(&mut self.0, true) {
            put!(out, ",");
        }
    }
}

/// Writes an object in one line: the names in `wanted`, or all.
pub fn write(
    out: &mut Out,
    snapshot: &Snapshot<'_>,
    wanted: &[&[u8]],
    since: &Since<'_>,
    maps: &mut Maps,
    command: Option<Command>,
) {
    // If the text is cut, names can be missing.
    let complete = !snapshot.is_cut
        && snapshot
            .wanted(wanted)
            .all(|name| Gaps::of(&name, since, false).is_none());
    let (free, all) = snapshot.blocks;
    let now = sys::now();

    put!(
        out,
        "{{\"version\":1,\"ns\":{now},\"page_size\":4096,\"complete\":{complete},"
    );
    put!(out, "\"blocks\":{{\"free\":{free},\"all\":{all}}},");
    if let Some(Command { pid, status, ns }) = command {
        put!(
            out,
            "\"command\":{{\"pid\":{pid},\"status\":{status},\"ns\":{ns}}},"
        );
    }
    put!(out, "\"names\":[");
    let mut items = Items(false);
    for name in snapshot.wanted(wanted) {
        items.next(out);
        put!(
            out,
            "{{\"name\":\"{}\",\"missed\":{},",
            Json(name.name),
            since.missed(&name)
        );
        put!(out, "\"images\":[");
        let mut images = Items(false);
        for image in since.images(&name) {
            images.next(out);
            write_image(out, &name, &image, since, maps);
        }
        put!(out, "],\"processes\":[");
        let mut processes = Items(false);
        for process in since.processes(&name) {
            processes.next(out);
            put!(out, "{{\"pid\":{},\"uid\":{},", process.pid, process.uid);
            put!(
                out,
                "\"image\":{},\"faults\":{},",
                process.image,
                process.faults
            );
            put!(out, "\"parent\":{},", process.parent);
            put!(out, "\"parent_faults\":{},", process.parent_faults);
            put!(out, "\"ns\":{},\"live\":{}}}", process.ns, process.live);
        }
        put!(out, "]}}");
    }
    put!(out, "]}}\n");
}

fn write_image(out: &mut Out, name: &Name<'_>, image: &Image, since: &Since<'_>, maps: &mut Maps) {
    put!(
        out,
        "{{\"id\":{},\"pid\":{},\"live\":{},",
        image.id,
        image.pid,
        image.live
    );
    put!(
        out,
        "\"faults\":{},\"mapped\":{},",
        image.faults,
        image.mapped
    );
    put!(out, "\"unplaced\":{},\"mappings\":[", image.unplaced);
    let mut names = maps.of(image);
    let mut items = Items(false);
    for vma in since.vmas(name, image).filter(|vma| vma.faults != 0) {
        items.next(out);
        put!(
            out,
            "{{\"start\":\"{:x}\",\"end\":\"{:x}\",",
            vma.start,
            vma.end
        );
        put!(out, "\"faults\":{},\"name\":", vma.faults);
        match names.of(&vma) {
            Some(name) => put!(out, "\"{}\"}}", Json(name)),
            None => put!(out, "null}}"),
        }
    }
    put!(out, "]}}");
}
