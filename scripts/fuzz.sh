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
[[ -n ${targets[0]} ]] || targets=(data log lock calls processes)
build=build/fuzz
mkdir -p "$build" "$build/findings"

flags=(-O -swift-version 6 -enable-experimental-feature Lifetimes '-sanitize=address,fuzzer'
	-use-ld=lld -package-name zerodb -parse-as-library -I "$build" -I include
	-Xcc -ISources/CZeroDBPlatform/include)

# A module map, as SwiftPM makes one.
cat >"$build/module.modulemap" <<END
module CZeroDBPlatform {
    umbrella "$PWD/Sources/CZeroDBPlatform/include"
    export *
}
END

# Whether a file is older than a source in one of the directories.
is_stale() {
	local made=$1
	shift
	[[ ! -e $made || -n $(find "$@" -type f -newer "$made" -print -quit) ]]
}

if is_stale "$build/ZeroDB.o" Sources/ZeroDB Sources/CZeroDBPlatform; then
	echo 'fuzz: building the engine with AddressSanitizer'
	for source in Sources/CZeroDBPlatform/*.c; do
		clang -O2 -fsanitize=address,fuzzer-no-link -ISources/CZeroDBPlatform/include -c "$source" \
			-o "$build/$(basename "$source" .c).c.o"
	done
	find Sources/ZeroDB -name '*.swift' -print0 | xargs -0 swiftc "${flags[@]}" -wmo -enable-testing \
		-module-name ZeroDB -emit-module -emit-module-path "$build/ZeroDB.swiftmodule" \
		-emit-object -o "$build/ZeroDB.o"
fi

# What a target is made of besides its own file.
parts() {
	case $1 in
	data | log | lock) echo Tests/Fuzz/FuzzProgram.swift Tests/Simulator/{Disk,Support}/*.swift ;;
	calls) echo Tests/Fuzz/Calls/*.swift Tests/Simulator/Model/*.swift \
		Tests/Simulator/Support/{SeededGenerator,ChoiceSource}.swift "$build/CZeroDBABI.o" ;;
	processes) echo Tests/Simulator/{Schedule,Disk,Support}/*.swift ;;
	esac
}

for target in "${targets[@]}"; do
	if [[ $target == calls ]] &&
		is_stale "$build/CZeroDBABI.o" "$build/ZeroDB.o" Sources/CZeroDBABI include; then
		echo 'fuzz: building the C interface with AddressSanitizer'
		swiftc "${flags[@]}" -wmo -module-name CZeroDBABI -emit-object -o "$build/CZeroDBABI.o" \
			Sources/CZeroDBABI/*.swift
	fi
	# shellcheck disable=SC2046
	swiftc "${flags[@]}" -wmo -module-name "Fuzz_$target" -o "$build/fuzz-$target" \
		Tests/Fuzz/FuzzInput.swift "Tests/Fuzz/Fuzz${target^}.swift" $(parts "$target") \
		"$build"/ZeroDB.o "$build"/*.c.o
done

for target in "${targets[@]}"; do
	echo "fuzz: $target, for $seconds seconds"
	mkdir -p "$build/corpus/$target"
	SWIFT_BACKTRACE=enable=no "$build/fuzz-$target" -max_total_time="$seconds" -timeout=20 \
		-rss_limit_mb=2048 -max_len=2048 -dict=Tests/Fuzz/numbers.dict -print_final_stats=1 \
		-artifact_prefix="$build/findings/$target-" "$build/corpus/$target" "Tests/Fuzz/seeds/$target"
done
