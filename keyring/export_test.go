package keyring

import "os"

// CheckDirectory is what WriteFile asks of a directory.
var CheckDirectory = checkDirectory

// ReplaceAt writes k to name in dir as WriteFile does, and calls at before each
// step; an error of at is one of the step.
func ReplaceAt(dir, name string, k Keyring, owner Owner, at func(step string) error) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	unlock, err := lockDirectory(root, owner)
	if err != nil {
		return err
	}
	defer unlock()
	w := fileWriter{root: root, name: name, owner: owner, at: at}
	return w.replace(k.bytes())
}
