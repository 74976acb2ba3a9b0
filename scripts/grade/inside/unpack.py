#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""usage: unpack.py ARCHIVE FOLDER

Take the patches and the report of a submission out of ARCHIVE (a tar file, compressed
or not) into FOLDER: regular files patch/*.patch, and at most one report beside them. An
archive with anything that leaves its folder, or that is no file, or with a *.patch that
is not in patch/, is refused as a whole. Runs in the sandbox."""

import os
import re
import sys
import tarfile

MEMBERS, PATCHES, SIZE, REPORT = 1000, 200, 8 << 20, 20 << 20


def refuse(text):
    print(text.encode("ascii", "backslashreplace").decode())
    sys.exit(1)


def save(path, stream, limit, name):
    data = stream.read(limit + 1)
    if len(data) > limit:
        refuse("%s is too large" % name)
    with open(path, "xb") as out:
        out.write(data)
    return len(data)


def main(archive, folder):
    os.mkdir(os.path.join(folder, "patch"))
    left, patches, members, reports = SIZE, 0, 0, 0
    with tarfile.open(archive) as tar:
        for member in tar:
            members += 1
            if members > MEMBERS:
                refuse("the archive has more than %d members" % MEMBERS)
            name = member.name[2:] if member.name.startswith("./") else member.name
            if name.startswith("/") or ".." in name.split("/"):
                refuse("%s leaves the archive's folder" % name)
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                refuse("%s is no regular file" % name)
            base = os.path.basename(name)
            if base.startswith("."):
                continue
            if re.fullmatch(r"patch/[^/\x00-\x1f\x7f]+\.patch", name):
                patches += 1
                if patches > PATCHES:
                    refuse("there are more than %d patches" % PATCHES)
                path = os.path.join(folder, "patch", base)
                if os.path.exists(path):
                    refuse("%s is there twice" % name)
                left -= save(path, tar.extractfile(member), left, name)
            elif re.fullmatch(r"(patch/)?[^/]+\.(pdf|txt|md)", name) and not reports:
                reports = 1
                save(os.path.join(folder, "report" + os.path.splitext(base)[1]),
                     tar.extractfile(member), REPORT, name)
            elif name.endswith(".patch"):
                refuse("%s is not in patch/" % name)
            else:
                print("not looked at: %s" % ascii(name))
        # To its end, where the checksum is.
        while tar.fileobj.read(1 << 20):
            pass
    if not patches:
        refuse("there is no patch/*.patch in the archive")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Exception as error:  # of tar, gzip, zlib, bz2, lzma, memory: they share no other base
        refuse("the archive cannot be read: %s" % str(error).partition("\n")[0].rstrip(":"))
