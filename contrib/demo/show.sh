# shellcheck shell=bash disable=SC2154 # wants $last from demo.sh
#
# Sourced by demo.sh: how the demo talks. Headings with the time that each step
# took, commands printed as one would type them and then run, and claims that are
# checked before they are made. $last is a file for the output of the last command.

width=80
bold='' dim='' green='' red='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
	bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
fi

# now prints the time in milliseconds.
now() {
	echo $((${EPOCHREALTIME/[.,]/} / 1000))
}

# seconds prints milliseconds as seconds.
seconds() {
	printf '%d.%02d s' $(($1 / 1000)) $(($1 % 1000 / 10))
}

step_names=() step_times=()
began=$(now) step_began=$began

# step begins the next step of the demo and ends the one before.
step() {
	end_step
	step_names+=("$1")
	step_began=$(now)
	printf '\n%s%d. %s%s\n' "$bold" ${#step_names[@]} "$1" "$plain"
}

end_step() {
	local count=${#step_names[@]}
	if ((count > ${#step_times[@]})); then
		step_times+=($(($(now) - step_began)))
	fi
}

# good and bad print in the colour of success and of failure.
good() {
	printf '%s%s%s\n' "$green" "$*" "$plain"
}
bad() {
	printf '%s%s%s\n' "$red" "$*" "$plain"
}

# where says in which step we are.
where() {
	local count=${#step_names[@]}
	if ((count == 0)); then
		echo "before the first step"
	else
		echo "in step $count, \"${step_names[-1]}\""
	fi
}

# times prints what each step took.
times() {
	local i
	for i in "${!step_times[@]}"; do
		printf '  %2d. %-58s %10s\n' $((i + 1)) "${step_names[i]}" "$(seconds "${step_times[i]}")"
	done
	printf '  %-62s %10s\n' "in all" "$(seconds $(($(now) - began)))"
}

# lines copies standard input, indented, and wraps what is too wide.
lines() {
	local line
	while IFS= read -r line || [[ -n $line ]]; do
		if ((${#line} + 2 > width)); then
			wrap "$line"
		else
			printf '  %s\n' "$line"
		fi
	done
}

# wrap prints a line as several: without the blanks that aligned its columns, and
# broken at blanks only, so that no word is cut.
wrap() {
	local line head indent='  '
	line=$(sed -e 's/\([^ ]\)   */\1  /g' -e 's/^   */  /' <<<"$1")
	while ((${#line} + ${#indent} > width)); do
		head=${line:0:width-${#indent}+1}
		head=${head% *}
		[[ ${#head} -le $((width - ${#indent})) && $head == *[![:blank:]]* ]] || break
		printf '%s%s\n' "$indent" "${head%"${head##*[![:blank:]]}"}"
		line=${line:${#head}}
		line=${line#"${line%%[![:blank:]]*}"}
		indent='    '
	done
	printf '%s%s\n' "$indent" "$line"
}

# say prints a remark.
say() {
	fmt -w $((width - 2)) <<<"$*" | lines
}

# note prints something of less weight.
note() {
	printf '  %s%s%s\n' "$dim" "$*" "$plain"
}

# prompt prints a command line; its arguments are parts that stay together.
prompt() {
	local line="\$ $1" part
	shift
	for part in "$@"; do
		if ((${#line} + ${#part} + 3 > width)); then
			printf '%s%s \\%s\n' "$bold" "$line" "$plain"
			line="    $part"
		else
			line+=" $part"
		fi
	done
	printf '%s%s%s\n' "$bold" "$line" "$plain"
}

# run prints a command, runs it and shows its output, which is in $last then.
# The status is the command's.
run() {
	local parts=() word
	for word in "$@"; do
		# A value stays on the line of its flag.
		if [[ ${#parts[@]} -gt 0 && ${parts[-1]} == -* && ${parts[-1]} != *' '* && $word != -* ]]; then
			parts[-1]+=" $(printf '%q' "$word")"
		else
			parts+=("$(printf '%q' "$word")")
		fi
	done
	prompt "${parts[@]}"
	shown "$@"
}

# run_line does the same with a line for the shell, which may hold pipes.
run_line() {
	local parts
	read -ra parts <<<"$1"
	prompt "${parts[@]}"
	shown bash -o pipefail -c "$1"
}

# shown runs a command, shows its output and the time that it took.
shown() {
	local start status=0
	start=$(now)
	"$@" 2>&1 | tee "$last" | lines || status=${PIPESTATUS[0]}
	note "$(seconds $(($(now) - start)))"
	return "$status"
}

# refused runs a command that has to fail with the given status.
refused() {
	local want=$1 status=0
	shift
	run "$@" || status=$?
	check "refused, with exit status $want" test "$status" = "$want"
}

# check makes a claim when the command that proves it succeeds, and else ends the
# demo.
check() {
	local claim=$1
	shift
	if ! "$@"; then
		echo "  $(bad NOT TRUE:) $claim"
		exit 1
	fi
	echo "  $(good ok:) $claim"
}

# said tells whether the output of the last command has a line like the pattern.
said() {
	grep -qE -- "$1" "$last"
}
