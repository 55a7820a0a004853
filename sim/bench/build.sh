#!/bin/sh
# Makes the flat binaries of the programs in this folder, or with --check verifies that they are what the sources give.
#
# Needs gcc with -m32, objcopy. Every program runs on the host, too, which says whether its expected result is right.
# The binaries are the same byte for byte with the compiler that compiler.txt names; with another one --check says so
# and only verifies the results.
set -eu
cd "$(dirname "$0")"
compiler=$(gcc --version | head -n 1)
linker=$(ld --version | head -n 1)
printf '%s\n%s\n' "$compiler" "$linker"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

same=yes
if [ "${1:-}" = --check ] && [ "$(printf '%s\n%s' "$compiler" "$linker")" != "$(cat compiler.txt)" ]; then
	same=no
	echo "the binaries were made with another compiler, see compiler.txt: only results are verified"
fi

for source in *.c; do
	name=${source%.c}
	[ "$name" = native ] && continue
	gcc -O1 -w -o "$folder/native" native.c "$source"
	result=$("$folder/native") || { echo "$name: the host computed $result" >&2; exit 1; }
	gcc -m32 -march=i486 -O2 -ffreestanding -nostdlib -fno-pic -no-pie -fno-stack-protector \
		-fno-asynchronous-unwind-tables -fno-tree-loop-distribute-patterns -Wall -Wextra -Werror \
		-Wl,--build-id=none,--no-warn-rwx-segments -static -T program.ld -o "$folder/$name.elf" "$source"
	objcopy -O binary "$folder/$name.elf" "$folder/$name.bin"
	printf '%-10s %5d bytes, result %s\n' "$name" "$(wc -c < "$folder/$name.bin")" "$result"
	if [ "${1:-}" != --check ]; then
		cp "$folder/$name.bin" "$name.bin"
	elif [ "$same" = yes ] && ! cmp -s "$folder/$name.bin" "$name.bin"; then
		echo "$name.bin is not what $source gives; run build.sh" >&2
		exit 1
	fi
done
[ "${1:-}" = --check ] || printf '%s\n%s\n' "$compiler" "$linker" > compiler.txt
