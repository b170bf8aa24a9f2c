# ZeroDB: build, install, demonstrate, test. `make help` lists the targets.
#
# scripts/deps.sh looks for Swift and other packages just before they are used, and installs those
# that are missing. All that is made here lies in build/ and, for SwiftPM, in .build*/.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.SUFFIXES:
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := all

# Only the header states the version.
VERSION := $(shell sed -n 's/^.define ZDB_VERSION_STRING "\(.*\)"$$/\1/p' include/zerodb.h)
SONAME := libzerodb.so.$(firstword $(subst ., ,$(VERSION)))

# Where `make install` puts things, below DESTDIR.
PREFIX = /usr/local
LIBDIR = $(PREFIX)/lib
INCLUDEDIR = $(PREFIX)/include
BINDIR = $(PREFIX)/bin
MANDIR = $(PREFIX)/share/man
DEBUGDIR = $(PREFIX)/lib/debug
DESTDIR =
# Where the project is found, as packages and zerodb.pc say it.
PROJECT_URL = https://zerodb.example

export SWIFT = swift
STRIP = strip
OBJCOPY = objcopy
# More flags for every `swift build` and `swift test`.
SWIFTFLAGS =

STAGE := build/stage
VENV := build/venv
PYTHON := $(VENV)/bin/python
PIP := $(PYTHON) -m pip --quiet --disable-pip-version-check
DEMO_ENVIRONMENT := build/demo.zdb

# The command-line program, and the names that it is installed under besides.
TOOL := build/bin/zerodb
DEBUG_TOOL := $(TOOL).debug
TOOL_NAMES := zerodb-backup zerodb-check zerodb-copy zerodb-dump zerodb-load zerodb-stat

.PHONY: all help lib stage install install-debug uninstall demo docs dist deb deb-test abi-check abi-record \
	test test-swift test-assertions test-c test-differential test-python test-python-versions python-wheels bench-python \
	test-format test-tools test-prometheus package-test readme-test golden format-dump differential crash-test damage-test \
	lmdb-test archive-test stress \
	check-exports test-tsan test-asan fuzz test-valgrind bench bench-peers bench-report bench-readme bench-selftest readpath lint lint-house lint-headers lint-man \
	lint-python lint-pyright lint-shell lint-swift format clean deps-test deps-demo

all: lib $(TOOL)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 18
	@echo
	@echo 'make install takes PREFIX ($(PREFIX)), DESTDIR, LIBDIR, INCLUDEDIR, BINDIR, MANDIR, DEBUGDIR;'
	@echo 'CFLAGS, CPPFLAGS and LDFLAGS are for the clang of the Swift toolchain.'

# ------------------------------------------------------------------- library

# The library as built, with its symbol table (for debuggers, valgrind and sanitizers), and
# the same stripped, which is installed and which the Python wheel carries.
LIBRARY := build/lib/libzerodb.so.$(VERSION)
STRIPPED_LIBRARY := build/lib/stripped/libzerodb.so.$(VERSION)
DEBUG_LIBRARY := build/lib/debug/libzerodb.so.$(VERSION).debug
STATIC_LIBRARY := build/lib/libzerodb.a
# Directories are listed too: a file that was removed changes only its directory.
LIBRARY_SOURCES := Makefile Package.swift zerodb.map $(shell find include Sources)

# The Swift standard library is linked in and hidden behind the version script, so that users
# of the library need no Swift. These flags are here and not in Package.swift because SwiftPM
# refuses unsafe flags in a package that others depend on.
STATIC_FLAGS = --configuration release --disable-local-rpath -Xswiftc -static-stdlib \
	-Xswiftc -use-ld=lld -Xlinker --build-id=sha1 $(CALLER_FLAGS)

# The flags of the caller: of CFLAGS and CPPFLAGS for the C sources (Package.swift says how far buffers are
# checked), of LDFLAGS for the linker.
CFLAGS ?=
CPPFLAGS ?=
LDFLAGS ?=
comma := ,
FORTIFY := %_FORTIFY_SOURCE %_FORTIFY_SOURCE=0 %_FORTIFY_SOURCE=1 %_FORTIFY_SOURCE=2 %_FORTIFY_SOURCE=3
LINKER_FLAGS = $(subst $(comma), ,$(patsubst -Wl$(comma)%,%,$(filter -Wl$(comma)%,$(LDFLAGS)))) \
	$(filter -L% -l%,$(LDFLAGS))
CALLER_FLAGS = $(addprefix -Xcc ,$(filter-out $(FORTIFY),$(CPPFLAGS) $(CFLAGS))) \
	$(addprefix -Xlinker ,$(LINKER_FLAGS)) \
	$(foreach flag,$(filter-out -Wl$(comma)% -L% -l%,$(LDFLAGS)),-Xswiftc -Xclang-linker -Xswiftc $(flag))
LIBRARY_FLAGS = $(STATIC_FLAGS) --product zerodb-c \
	-Xlinker '--version-script=$(CURDIR)/zerodb.map' \
	-Xlinker -soname=$(SONAME) \
	-Xlinker --gc-sections \
	-Xlinker --no-undefined \
	-Xlinker -z -Xlinker now \
	-Xlinker -z -Xlinker nodelete

lib: $(LIBRARY) $(STRIPPED_LIBRARY) $(STATIC_LIBRARY) ## build libzerodb.so and libzerodb.a

$(LIBRARY): $(LIBRARY_SOURCES)
	@scripts/deps.sh build
	$(SWIFT) build $(SWIFTFLAGS) $(LIBRARY_FLAGS)
	@mkdir -p $(@D)
	@install -m 644 .build/release/libzerodb-c.so $@

$(STRIPPED_LIBRARY): $(LIBRARY)
	@mkdir -p $(@D)
	@$(STRIP) --strip-unneeded -o $@ $<

# What a debugger finds by the build-id, which the stripped library has too.
$(DEBUG_LIBRARY): $(LIBRARY)
	@mkdir -p $(@D)
	@$(OBJCOPY) --only-keep-debug --compress-debug-sections $< $@

# From the objects of the shared one.
$(STATIC_LIBRARY): $(LIBRARY) scripts/static-library.sh
	@scripts/static-library.sh .build/release $@

# ---------------------------------------------------------------------- tool

# Like the library, the program needs no Swift where it is installed.
$(TOOL): $(LIBRARY_SOURCES) scripts/completions.sh
	@scripts/deps.sh build
	$(SWIFT) build $(SWIFTFLAGS) $(STATIC_FLAGS) --product zerodb -Xlinker --gc-sections
	@mkdir -p $(@D)
	@$(STRIP) -o $@ .build/release/zerodb
	@$(OBJCOPY) --only-keep-debug --compress-debug-sections .build/release/zerodb $(DEBUG_TOOL)
	@for shell in bash zsh fish; do \
		scripts/completions.sh $$shell $@ $(TOOL_NAMES) >$@.$$shell || exit 1; done

# ------------------------------------------------------------------- install

INSTALL_VARIABLES = VERSION='$(VERSION)' SONAME='$(SONAME)' URL='$(PROJECT_URL)' \
	TOOL='$(TOOL)' TOOL_NAMES='$(TOOL_NAMES)'
INSTALL_DIRECTORIES = DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' LIBDIR='$(LIBDIR)' \
	INCLUDEDIR='$(INCLUDEDIR)' BINDIR='$(BINDIR)' MANDIR='$(MANDIR)' DEBUGDIR='$(DEBUGDIR)'

stage: $(STAGE)/.done ## install into build/stage, for the tests and the demo

# The staged library keeps its symbols, and its zerodb.pc names directories relative to its own, so
# that the tree can be moved and its path may contain spaces.
$(STAGE)/.done: $(LIBRARY) $(STATIC_LIBRARY) $(TOOL) $(wildcard pkgconfig/* cmake/* man/* share/*/*) \
		scripts/install.sh scripts/functions.sh
	@rm -rf $(STAGE)
	@$(INSTALL_VARIABLES) LIBRARY='$(LIBRARY)' STATIC_LIBRARY='$(STATIC_LIBRARY)' DESTDIR='$(CURDIR)' \
		PREFIX='/$(STAGE)' PC_PREFIX='$${pcfiledir}/../..' scripts/install.sh >/dev/null
	@touch $@

install: lib $(TOOL) ## install libraries, header, tools, man pages, dashboard and alerts
	@$(INSTALL_VARIABLES) LIBRARY='$(STRIPPED_LIBRARY)' STATIC_LIBRARY='$(STATIC_LIBRARY)' \
		$(INSTALL_DIRECTORIES) scripts/install.sh

# A target of its own, because the symbols are larger than all the rest.
install-debug: $(DEBUG_LIBRARY) $(TOOL) ## install debugging symbols, which debuggers find by build-id
	@$(INSTALL_VARIABLES) DEBUG_FILES='$(DEBUG_LIBRARY) $(DEBUG_TOOL)' $(INSTALL_DIRECTORIES) \
		scripts/install.sh --debug

uninstall: ## remove what `make install` with the same variables installed
	@$(INSTALL_VARIABLES) $(INSTALL_DIRECTORIES) scripts/install.sh --uninstall

# ------------------------------------------------------------------ packages

DIST := build/dist/zerodb-$(VERSION).tar.xz
DEB := $(CURDIR)/build/deb
DEB_ROOT := $(CURDIR)/build/deb-root

dist: ## a source tarball, in build/dist, that builds without git and without a network
	@scripts/deps.sh build
	@scripts/dist.sh zerodb-$(VERSION) $(DIST)

# Builds from that tarball, so that nothing of this folder is used.
deb: dist ## Debian packages, in build/deb, with the Swift of PATH
	@scripts/deps.sh build deb
	@scripts/deb.sh $(VERSION) $(DIST) $(DEB)

deb-test: ## install the packages of `make deb` into a Debian in build/deb-root, and try them there
	@scripts/deps.sh deb-test
	@test -e $(DEB)/build.log || $(MAKE) deb
	@scripts/deb-test.sh $(DEB) $(DEB_ROOT)

# -------------------------------------------------------------------- Python

# Each stamp in the virtual environment stands for one thing installed into it.
$(VENV)/.created:
	@scripts/deps.sh python
	@echo 'python: making a virtual environment in $(VENV)'
	@rm -rf $(VENV)
	@python3 -m venv $(VENV)
	@touch $@

# The tools for building the wheel, for tests and for style checks.
$(VENV)/.build: scripts/requirements-build.txt
$(VENV)/.test: bindings/python/requirements-test.txt
$(VENV)/.test-format: Tests/format/requirements.txt
$(VENV)/.test-tools: Tests/tools/requirements.txt
$(VENV)/.lint: scripts/requirements-lint.txt
$(VENV)/.pyright: scripts/requirements-pyright.txt
$(VENV)/.build $(VENV)/.test $(VENV)/.test-format $(VENV)/.test-tools $(VENV)/.lint $(VENV)/.pyright: $(VENV)/.created
	@echo "python: installing $$(grep -ho '^[a-z][^ ]*' $(filter %.txt,$^) | paste -sd ' ')"
	@$(PIP) install $(patsubst %,--requirement %,$(filter %.txt,$^)) || { \
		echo 'python: pip could not install what $(filter %.txt,$^) names;' \
			'check the connection to the Python package index.' >&2; exit 1; }
	@touch $@

PYTHON_SOURCES := $(shell find bindings/python \
	\( -name tests -o -name build -o -name __pycache__ -o -name '*.egg-info' -o -name '.*_cache' \) \
	-prune -o -type f -print)

# The package, from the wheel that users get, with the library inside.
$(VENV)/.zerodb: $(STRIPPED_LIBRARY) $(PYTHON_SOURCES) $(VENV)/.build
	@echo 'python: building the wheel and installing it into $(VENV)'
	@rm -rf build/wheel bindings/python/build
	@ZERODB_LIBRARY_FILE='$(CURDIR)/$(STRIPPED_LIBRARY)' $(PIP) wheel --no-deps \
		--no-build-isolation --wheel-dir build/wheel ./bindings/python
	@$(PIP) install --force-reinstall --no-deps build/wheel/*.whl
	@touch $@

# ---------------------------------------------------------------------- demo

# Builds, then loads the Unicode Character Database and a word list from C and explores them
# from Python. The C program is compiled the way a user would.
demo: deps-demo stage $(VENV)/.zerodb ## load real data from C, explore it from Python
	@rm -rf $(DEMO_ENVIRONMENT)
	@echo
	@echo '$$ cc examples/c/load_unicode.c examples/c/unicode_data.c -o build/load_unicode' \
		'$$(pkg-config --cflags --libs zerodb)'
	@$(CC) examples/c/load_unicode.c examples/c/unicode_data.c -o build/load_unicode \
		$$(PKG_CONFIG_PATH=$(STAGE)/lib/pkgconfig pkg-config --cflags --libs zerodb)
	@echo '$$ build/load_unicode $(DEMO_ENVIRONMENT)'
	@LD_LIBRARY_PATH='$(CURDIR)/$(STAGE)/lib' build/load_unicode $(DEMO_ENVIRONMENT)
	@echo
	@echo '$$ python examples/python/explore_unicode.py $(DEMO_ENVIRONMENT)'
	@$(PYTHON) examples/python/explore_unicode.py $(DEMO_ENVIRONMENT)

# One check at the start, so that missing packages are installed in one go.
deps-demo:
	@scripts/deps.sh build python demo

# ------------------------------------------------------------- documentation

docs: $(LIBRARY) ## build the Swift documentation into build/docs
	@scripts/docs.sh .build/release build/docs

# ------------------------------------------------------------------- testing

# The Swift tests run once here, with assertions. The library without them, as it is installed, is what the
# tests from C, Python and the command line use.
test: deps-test test-assertions test-c test-differential test-python test-format test-tools \
	test-prometheus check-exports ## run every test
	@echo
	@echo 'All tests passed: Swift, C, LMDB compared, Python, file format, tools, Prometheus,' \
		'exported symbols.'

deps-test:
	@scripts/deps.sh build c differential python tools demo prometheus

test-swift: ## the tests of the engine and the Swift API, built as they are shipped
	@scripts/deps.sh build
	$(SWIFT) test $(SWIFTFLAGS) -c release -Xswiftc -enable-testing --scratch-path .build-test

# Preconditions are assertions, which a release build leaves out: here they are on.
test-assertions: ## the same with the engine's assertions on
	@scripts/deps.sh build
	$(SWIFT) test $(SWIFTFLAGS) -c release -Xswiftc -enable-testing \
		-Xswiftc -assert-config -Xswiftc Debug --scratch-path .build-assertions

test-c: stage ## the tests of the C API, as C11 and as C++17
	@scripts/deps.sh c
	$(MAKE) -C Tests/C test STAGE='$(CURDIR)/$(STAGE)'

test-differential: stage ## the same random operations on LMDB, compared
	@scripts/deps.sh differential
	$(MAKE) -C Tests/differential run STAGE='$(CURDIR)/$(STAGE)'

test-python: $(VENV)/.zerodb $(VENV)/.test $(VENV)/.lint ## the tests of the Python package, on both its cores
	ZERODB_IMPLEMENTATION=native $(PYTHON) -m mypy.stubtest zerodb._native --ignore-missing-stub
	ZERODB_IMPLEMENTATION=native $(PYTHON) -m pytest bindings/python/tests
	ZERODB_IMPLEMENTATION=ctypes $(PYTHON) -m pytest bindings/python/tests

# The wheel with the extension, that without for Pythons that do not load it, and the source distribution.
python-wheels: $(VENV)/.zerodb ## both wheels and the source distribution, in build/wheels
	@rm -rf build/wheels bindings/python/build
	@mkdir -p build/wheels
	@cp build/wheel/*.whl build/wheels/
	@ZERODB_EXTENSION=0 ZERODB_LIBRARY_FILE='$(CURDIR)/$(STRIPPED_LIBRARY)' $(PIP) wheel --no-deps \
		--no-build-isolation --wheel-dir build/wheels ./bindings/python
	@cd bindings/python && $(CURDIR)/$(PYTHON) -c \
		'import setuptools.build_meta as b; b.build_sdist("$(CURDIR)/build/wheels")' >/dev/null 2>&1
	@rm -rf bindings/python/build
	@ls build/wheels

# As users have it: from the wheels. Each first run makes a virtual environment.
test-python-versions: python-wheels ## the tests of the Python package on each Python here; PYTHONS='3.9 pypy3'
	@scripts/python-versions.sh '$(CURDIR)/build/wheels' '$(CURDIR)/build/python' $(PYTHONS)

PYTHONS =

bench-python: $(VENV)/.zerodb $(VENV)/.test ## compare the Python package with py-lmdb
	$(PYTHON) bindings/python/benchmarks/compare.py

test-format: $(VENV)/.zerodb $(VENV)/.test $(VENV)/.test-format ## an independent reader of the files
	$(PYTHON) -m pytest Tests/format

test-tools: stage $(VENV)/.zerodb $(VENV)/.test $(VENV)/.test-tools ## the command-line program, as users run it
	@scripts/deps.sh c tools
	ZERODB_STAGE='$(CURDIR)/$(STAGE)' $(PYTHON) -m pytest Tests/tools

# A Prometheus of its own on loopback, and node_exporter, scrape what the program prints.
test-prometheus: stage $(VENV)/.zerodb $(VENV)/.test ## a real Prometheus, and promtool
	@scripts/deps.sh prometheus
	ZERODB_STAGE='$(CURDIR)/$(STAGE)' $(PYTHON) -m pytest Tests/prometheus

# Until format version 1 is released. After that the files stay as they are.
golden: $(VENV)/.zerodb $(VENV)/.test $(VENV)/.test-format ## write the golden files of the format anew
	$(PYTHON) Tests/format/make_golden.py

# The text beside the dump is to be compared with it by hand.
format-dump: $(VENV)/.zerodb $(VENV)/.test $(VENV)/.test-format ## dump the example of docs/FORMAT.md anew
	$(PYTHON) Tests/format/make_dump.py

package-test: lib $(TOOL) $(DEBUG_LIBRARY) $(VENV)/.zerodb ## install, and use it from CMake, meson, a plugin, ...; PACKAGE_CASES='test_meson ...'
	@scripts/deps.sh package
	@MAKE='$(MAKE)' Tests/package/run.sh $(PACKAGE_CASES)

# Clones, builds and installs as README says, so the build folders here are of no use to it.
readme-test: ## paste every block of README.md, in order, in a new home; builds all of it anew
	@scripts/deps.sh build python demo
	@python3 Tests/readme/run.py

# abi/ records the interface of the newest version that was released (until there is one, of the last that was
# thought good enough). What may change in it is in docs/ABI.md.
abi-check: stage $(VENV)/.test ## compare the interface with the recorded one, and run programs that know only that
	@scripts/deps.sh abi
	@cd scripts && $(CURDIR)/$(PYTHON) -m pytest --quiet check_abi.py
	@$(PYTHON) scripts/abi.py check $(LIBRARY) $(STAGE)

abi-record: $(LIBRARY) $(VENV)/.created ## record the interface anew in abi/
	@scripts/deps.sh abi
	@$(PYTHON) scripts/abi.py record $(LIBRARY)

check-exports: $(LIBRARY) $(STRIPPED_LIBRARY) ## exports, dependencies and size of libzerodb.so
	@scripts/check-exports.sh $(STRIPPED_LIBRARY) $(SONAME) include/zerodb.h

# The sanitizers instrument everything and so have build folders of their own. The XCTest half of
# a test run is left out: there are no tests in it, and it leaks. ThreadSanitizer's
# instrumentation of `inout` confuses the compiler's check of lifetimes, which other builds make.
SANITIZED_TEST = $(SWIFT) test $(SWIFTFLAGS) -c release -Xswiftc -enable-testing --disable-xctest

# The longest tests have one thread: here they run fewer operations.
test-tsan: ## the Swift tests under ThreadSanitizer
	@scripts/deps.sh build
	ZERODB_OPERATIONS_MAX=20000 $(SANITIZED_TEST) --sanitize=thread --scratch-path .build-tsan \
		-Xswiftc -Xfrontend -Xswiftc -disable-lifetime-dependence-diagnostics

test-asan: ## the Swift tests under AddressSanitizer and LeakSanitizer
	@scripts/deps.sh build
	$(SANITIZED_TEST) --sanitize=address --scratch-path .build-asan

# Long campaigns; `make test` has short ones of both.
crash-test: ## thousands of simulated power cuts; WORKLOADS=N for more
	@scripts/deps.sh build
	ZERODB_CRASH_WORKLOADS=$(WORKLOADS) $(SWIFT) test $(SWIFTFLAGS) -c release \
		-Xswiftc -enable-testing --scratch-path .build-test --filter Simulation

WORKLOADS = 2000

damage-test: ## damaged environments, a hundred thousand; CASES=N for more
	@scripts/deps.sh build
	ZERODB_DAMAGE_CASES=$(CASES) $(SWIFT) test $(SWIFTFLAGS) -c release \
		-Xswiftc -enable-testing --scratch-path .build-test --filter DamageCampaignTests

CASES = 100000

lmdb-test: ## damaged files of LMDB, ten thousand; LMDB_CASES=N for more
	@scripts/deps.sh build
	ZERODB_LMDB_CASES=$(LMDB_CASES) $(SWIFT) test $(SWIFTFLAGS) -c release \
		-Xswiftc -enable-testing --scratch-path .build-test --filter LMDBFileTests

LMDB_CASES = 10000

archive-test: ## archives of thousands of transactions, and ten thousand damaged ones; ARCHIVE_CASES=N for more
	@scripts/deps.sh build
	ZERODB_ARCHIVE_CASES=$(ARCHIVE_CASES) ZERODB_ARCHIVE_TRANSACTIONS=3000 $(SWIFT) test $(SWIFTFLAGS) \
		-c release -Xswiftc -enable-testing --scratch-path .build-test --filter 'Archive(Damage)?Tests'

ARCHIVE_CASES = 10000

differential: stage ## five million operations compared with LMDB; OPERATIONS=N for more
	@scripts/deps.sh differential
	$(MAKE) -C Tests/differential long STAGE='$(CURDIR)/$(STAGE)' OPERATIONS=$(OPERATIONS)

OPERATIONS = 5000000

stress: stage ## real processes killed at random moments; KILLS=N for more
	@scripts/deps.sh c
	$(MAKE) -C Tests/C stress STAGE='$(CURDIR)/$(STAGE)'

fuzz: ## the fuzzers, with AddressSanitizer; SECONDS=N for each
	@scripts/deps.sh build
	scripts/fuzz.sh $(SECONDS)

SECONDS = 60

test-valgrind: stage ## the C tests under valgrind's memcheck
	@scripts/deps.sh valgrind
	$(MAKE) -C Tests/C test-valgrind STAGE='$(CURDIR)/$(STAGE)'

bench: stage bench-peers ## compare with LMDB, RocksDB, SQLite and others (N=entries, ARGS='--only ...')
	@scripts/deps.sh bench
	$(MAKE) -C Benchmarks bench STAGE='../$(STAGE)'

bench-report: ## draw the results of the newest `make bench` into docs/benchmarks
	@scripts/deps.sh bench-peers || echo 'bench-report: going on without what is missing' >&2
	$(MAKE) -C Benchmarks report

bench-readme: ## put a short table of them into the README
	$(MAKE) -C Benchmarks readme

bench-selftest: stage bench-peers ## check the benchmark itself, with few entries
	@scripts/deps.sh bench
	$(MAKE) -C Benchmarks selftest STAGE='../$(STAGE)'

# Peers that the comparison can do without.
bench-peers: ## bring LMDB 1.0, libmdbx and WiredTiger for the benchmark, as far as they can be had
	@scripts/deps.sh bench-peers || echo 'bench-peers: going on without what is missing' >&2
	$(MAKE) -C Benchmarks peers

readpath: stage ## system calls, locks and allocations of reads
	@scripts/deps.sh bench
	$(MAKE) -C Benchmarks readpath STAGE='../$(STAGE)'

# ------------------------------------------------------------ lint and format

SWIFT_FILES := Package.swift $(wildcard Sources Tests examples/swift)
PYTHON_FILES := bindings/python examples/python Tests/format Tests/tools Tests/prometheus Tests/readme scripts/lint-man.py \
	scripts/lint_house.py scripts/lint_layers.py scripts/test_lint.py scripts/abi.py scripts/check_abi.py \
	Benchmarks/results.py Benchmarks/report.py Benchmarks/chart.py Benchmarks/selftest.py
RUFF = $(PYTHON) -m ruff

lint: lint-house lint-headers lint-man lint-swift lint-python lint-shell ## check style, types and headers
	@echo 'Lint: no complaints.'

# Layers, words, names and links; and that the checks of them fail when they should.
lint-house: $(VENV)/.test
	@$(PYTHON) scripts/lint_layers.py
	@$(PYTHON) scripts/lint_house.py
	@cd scripts && $(CURDIR)/$(PYTHON) -m pytest --quiet test_lint.py

lint-headers:
	@scripts/deps.sh lint
	@scripts/lint-headers.sh

# mandoc is welcome, not required.
lint-man: $(VENV)/.created
	@$(PYTHON) scripts/lint-man.py
	@if command -v mandoc >/dev/null; then mandoc -T lint -W warning man/*.[1-8]; fi

lint-swift:
	@scripts/deps.sh build
	$(SWIFT) format lint --strict --recursive $(SWIFT_FILES)

# The tests are checked against the types of the modules that they import.
lint-python: $(VENV)/.test $(VENV)/.test-format $(VENV)/.test-tools $(VENV)/.lint
	@grep -qxF '__version__ = "$(VERSION)"' bindings/python/src/zerodb/__init__.py || { \
		echo 'lint: bindings/python says another version than include/zerodb.h,' \
			'$(VERSION)' >&2; exit 1; }
	$(RUFF) check $(PYTHON_FILES)
	$(RUFF) format --check $(PYTHON_FILES)
	MYPYPATH=bindings/python/src $(PYTHON) -m mypy --strict \
		--exclude '^bindings/python/build/' $(filter-out Tests/tools Tests/prometheus,$(PYTHON_FILES))
	MYPYPATH=bindings/python/src $(PYTHON) -m mypy --strict Tests/tools
	MYPYPATH=bindings/python/src $(PYTHON) -m mypy --strict Tests/prometheus

# A second opinion on types: its rules are those of editors. Not part of `lint`, as it brings its own Node (280 MB).
lint-pyright: $(VENV)/.zerodb $(VENV)/.test $(VENV)/.pyright ## the types of the Python package by pyright
	cd bindings/python && $(CURDIR)/$(PYTHON) -m basedpyright --pythonpath $(CURDIR)/$(PYTHON)
	@# That all that is public has a type which no checker has to guess.
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" $(PYTHON) -m basedpyright --ignoreexternal --verifytypes zerodb \
		>build/pyright.txt || { grep -B1 ' - error' build/pyright.txt; exit 1; }

# shellcheck is welcome, not required.
lint-shell:
	@if command -v shellcheck >/dev/null; then shellcheck scripts/*.sh Benchmarks/*.sh Tests/package/*.sh debian/tests/{library,tools,python} .ci/run; fi

format: $(VENV)/.lint ## format the Swift and Python sources in place
	$(SWIFT) format --in-place --recursive $(SWIFT_FILES)
	$(RUFF) check --fix $(PYTHON_FILES)
	$(RUFF) format $(PYTHON_FILES)

# --------------------------------------------------------------------- clean

clean: ## remove everything that was built
	rm -rf build .build .build-test .build-assertions .build-tsan .build-asan .build-example examples/swift/.build
