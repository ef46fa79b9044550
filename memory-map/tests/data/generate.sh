#!/bin/sh
# Makes the .dtb files here: QEMU's own trees, and the .dts files compiled. Needs qemu-system-aarch64 and dtc.
set -eu
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
head -c 300000 /dev/zero > "$scratch/kernel"
head -c 5000 /dev/zero > "$scratch/ramdisk"
for gic in 2 3; do
    timeout 60 qemu-system-aarch64 \
        -machine "virt,virtualization=on,gic-version=$gic,iommu=smmuv3,dumpdtb=$scratch/virt.dtb" \
        -cpu max -smp 4 -m 1G -nodefaults -nographic -nic none -serial null -serial null -seed 1 \
        -device "guest-loader,addr=0x44000000,kernel=$scratch/kernel,bootargs=console=ttyAMA0 quiet" \
        -device "guest-loader,addr=0x48000000,initrd=$scratch/ramdisk"
    # QEMU's blob is 1 MiB, most of it free space behind the strings block: the header's totalsize cuts it off.
    python3 - "$scratch/virt.dtb" "virt-gicv$gic.dtb" <<'PACK'
import struct, sys
blob = bytearray(open(sys.argv[1], "rb").read())
strings, size = struct.unpack(">I", blob[12:16])[0], struct.unpack(">I", blob[32:36])[0]
blob[4:8] = struct.pack(">I", strings + size)
open(sys.argv[2], "wb").write(blob[: strings + size])
PACK
done
for source in *.dts; do
    dtc -I dts -O dtb -o "${source%.dts}.dtb" "$source"
done
