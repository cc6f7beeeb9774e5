package sidecar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxDepth is how deep a JSON body may be nested.
const maxDepth = 32

// strictJSON is json.Unmarshal that refuses what two readers could understand
// differently: a name that is given twice, or in other letters than documented.
// Unknown names are refused by the schema.
func strictJSON(data []byte, v any) error {
	if err := checkJSON(json.NewDecoder(bytes.NewReader(data))); err != nil {
		return err
	}
	err := json.Unmarshal(data, v)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("%s: %s does not fit there", wrong.Field, wrong.Value)
	}
	return err
}

func checkJSON(d *json.Decoder) error {
	if err := checkValue(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more behind the JSON document")
	}
	return nil
}

func checkValue(d *json.Decoder, depth int) error {
	token, err := d.Token()
	if err != nil {
		return cutOff(err)
	}
	delim, nested := token.(json.Delim)
	if !nested {
		return nil
	}
	if depth == maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	seen := map[string]bool{}
	for d.More() {
		if delim == '{' {
			name, err := d.Token()
			if err != nil {
				return cutOff(err)
			}
			key, _ := name.(string)
			if seen[key] {
				return fmt.Errorf("%q is given twice", key)
			}
			seen[key] = true
			if key != strings.ToLower(key) {
				return fmt.Errorf("%q: unexpected property: all names are in lower case", key)
			}
		}
		if err := checkValue(d, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token() // the end of it
	return cutOff(err)
}

// cutOff says in words what an early end is.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the JSON document is cut off")
	}
	return err
}
