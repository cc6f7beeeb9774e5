// Package docs runs what the README and the manual show.
//
// A fence ```console holds a session: lines that begin with "$ " are commands,
// run one after the other in one shell per document, in a directory of its own,
// with a lab of three OSDs; the lines below a command are what it prints. In them,
// … stands for any text, and a line that is only … for any lines. A command may
// fail only when it ends in "# exit N".
//
// A fence ```sh holds commands for the checkout, which must be targets of the
// Makefile. No other fence may hold a command.
//
// Links within the checkout have to lead to a file, and to a heading in it.
package docs
