package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"rbdctl/internal/fault"
)

// completeCommand is the word with which the shells ask for proposals:
//
//	rbdctl __complete WORD...
//
// The last word is the one to be completed, and may be empty. Each line of the
// answer is a word, a tab, and what it means. Nothing else is done.
const completeCommand = "__complete"

func completionCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print what makes a shell complete rbdctl's commands and options",
		ArgsUsage: "bash|zsh|fish",
		Description: "For bash: rbdctl completion bash >/etc/bash_completion.d/rbdctl\n\n" +
			"For zsh: rbdctl completion zsh >/usr/local/share/zsh/site-functions/_rbdctl\n\n" +
			"For fish: rbdctl completion fish >~/.config/fish/completions/rbdctl.fish",
		Action: func(c *cli.Context) error {
			if err := operands(c, "bash|zsh|fish"); err != nil {
				return err
			}
			return runCompletion(e, c.Args().First())
		},
	}
}

const (
	bashCompletion = `# bash completion of rbdctl
_rbdctl() {
	local IFS=$'\n'
	COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f 1)" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o bashdefault -o default -F _rbdctl rbdctl
`
	zshCompletion = `#compdef rbdctl
_rbdctl() {
	local line
	local -a found
	for line in "${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
		[[ -n $line ]] && found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
	done
	if (( ${#found} )); then
		_describe rbdctl found
	else
		_files
	fi
}
if [[ ${funcstack[1]} == _rbdctl ]]; then # loaded by its name, at the first use
	_rbdctl "$@"
else
	compdef _rbdctl rbdctl
fi
`
	fishCompletion = `# fish completion of rbdctl
function __rbdctl_complete
	set -l words (commandline -opc) (commandline -ct)
	set -l found ($words[1] __complete $words[2..-1] 2>/dev/null)
	if set -q found[1]
		printf '%s\n' $found
	else
		__fish_complete_path (commandline -ct)
	end
end
complete -c rbdctl -f -a '(__rbdctl_complete)'
`
)

func runCompletion(e *env, shell string) error {
	scripts := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}
	script, ok := scripts[shell]
	if !ok {
		return fault.Newf(errUsage, "shell %q: want bash, zsh or fish", shell)
	}
	_, err := io.WriteString(e.out, script)
	return err
}

// complete answers a shell and returns the exit status.
func (e *env) complete(app *cli.App, words []string) int {
	for _, p := range proposals(app, words) {
		if _, err := fmt.Fprintf(e.out, "%s\t%s\n", p[0], p[1]); err != nil {
			return exitStatus(err)
		}
	}
	return 0
}

// proposals are the words, and what each means, that may stand in the place of the
// last of words.
func proposals(app *cli.App, words []string) [][2]string {
	if len(words) == 0 {
		return nil
	}
	commands, flags := app.Commands, app.Flags
	last := len(words) - 1
	for i := 0; i < last; i++ {
		if takesNext(flags, words[i]) {
			if i++; i == last {
				return formsOf(flags, words[i-1])
			}
			continue
		}
		at := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(words[i]) })
		if at >= 0 {
			commands, flags = commands[at].Subcommands, commands[at].Flags
		}
	}
	var found [][2]string
	if strings.HasPrefix(words[last], "-") {
		for _, f := range flags {
			found = append(found, [2]string{"--" + f.Names()[0], newFlagText(f).text})
		}
		return append(found, [2]string{"--help", "show this help"})
	}
	for _, c := range commands {
		if !c.Hidden {
			found = append(found, [2]string{c.Name, c.Usage})
		}
	}
	return found
}

// formsOf are the values of --output; of other flags the shell knows as much.
func formsOf(flags []cli.Flag, name string) [][2]string {
	var found [][2]string
	for _, f := range flags {
		text := newFlagText(f).text
		_, forms, ok := strings.Cut(text, "FORM: ")
		if !ok || !slices.Contains(f.Names(), strings.TrimLeft(name, "-")) {
			continue
		}
		for form := range strings.SplitSeq(forms, ", ") {
			found = append(found, [2]string{form, "form of the result"})
		}
	}
	return found
}
