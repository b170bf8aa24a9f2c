#!/usr/bin/env bash
# Builds the fuzzers of Tests/Fuzz with AddressSanitizer and runs each of them.
#
#   fuzz.sh SECONDS [TARGET...]
#
# What they find is left in build/fuzz/findings/, and the inputs that reach new code in
# build/fuzz/corpus/, from which the next run goes on.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=$1
shift
targets=("${@:-}")
[[ -n ${targets[0]} ]] || targets=(data log lock)
build=build/fuzz
mkdir -p "$build" "$build/findings"

flags=(-O -swift-version 6 -enable-experimental-feature Lifetimes -sanitize=address,fuzzer
	-use-ld=lld -package-name zerodb -parse-as-library -I "$build" -Xcc -ISources/CZeroDBPlatform/include)

# A module map, as SwiftPM makes one.
cat >"$build/module.modulemap" <<END
module CZeroDBPlatform {
    umbrella "$PWD/Sources/CZeroDBPlatform/include"
    export *
}
END

newest=$(find Sources/ZeroDB Sources/CZeroDBPlatform -type f -newer "$build/ZeroDB.o" 2>/dev/null |
	head -n 1 || true)
if [[ ! -e $build/ZeroDB.o || -n $newest ]]; then
	echo 'fuzz: building the engine with AddressSanitizer'
	for source in Sources/CZeroDBPlatform/*.c; do
		clang -O2 -fsanitize=address,fuzzer-no-link -ISources/CZeroDBPlatform/include -c "$source" \
			-o "$build/$(basename "$source" .c).c.o"
	done
	find Sources/ZeroDB -name '*.swift' -print0 | xargs -0 swiftc "${flags[@]}" -wmo -enable-testing \
		-module-name ZeroDB -emit-module -emit-module-path "$build/ZeroDB.swiftmodule" \
		-emit-object -o "$build/ZeroDB.o"
fi

for target in "${targets[@]}"; do
	swiftc "${flags[@]}" -wmo -module-name "Fuzz_$target" -o "$build/fuzz-$target" \
		Tests/Fuzz/FuzzInput.swift "Tests/Fuzz/Fuzz${target^}.swift" \
		Tests/Simulator/Disk/{MemoryFileSystem,CraftedImage}.swift "$build"/ZeroDB.o "$build"/*.c.o
done

for target in "${targets[@]}"; do
	echo "fuzz: $target, for $seconds seconds"
	mkdir -p "$build/corpus/$target"
	SWIFT_BACKTRACE=enable=no "$build/fuzz-$target" -max_total_time="$seconds" -timeout=20 \
		-rss_limit_mb=2048 -max_len=2048 -dict=Tests/Fuzz/numbers.dict -print_final_stats=1 \
		-artifact_prefix="$build/findings/$target-" "$build/corpus/$target" "Tests/Fuzz/seeds/$target"
done
