// A reader of our log that knows nothing about us: Go's own note and tlog packages
// (golang.org/x/mod/sumdb), as the go command uses them for the checksum database.
//
//	reader URL VKEY INDEX
//
// It checks the checkpoint's signature, every tile it reads against the checkpoint, the inclusion
// of the entry, and that the entry bundle holds the bytes of that leaf.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type tiles struct{ url string }

func (t tiles) Height() int { return height }

// ReadTiles reads C2SP tiles, whose paths leave the height out.
func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		data, err := get(t.url + "/" + strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func get(url string) ([]byte, error) {
	answer, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != 200 {
		return nil, fmt.Errorf("%s: %s", url, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

func checkpoint(url, vkey string) (tlog.Tree, error) {
	var tree tlog.Tree
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return tree, err
	}
	data, err := get(url + "/checkpoint")
	if err != nil {
		return tree, err
	}
	signed, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return tree, err
	}
	lines := strings.Split(signed.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tree, fmt.Errorf("not a checkpoint of %s", verifier.Name())
	}
	if tree.N, err = strconv.ParseInt(lines[1], 10, 64); err != nil {
		return tree, err
	}
	tree.Hash, err = tlog.ParseHash(lines[2])
	return tree, err
}

func entry(url string, index, size int64) ([]byte, error) {
	first := index / 256
	path := fmt.Sprintf("/tile/entries/%03d", first)
	if width := size - first*256; width < 256 {
		path += fmt.Sprintf(".p/%d", width)
	}
	data, err := get(url + path)
	if err != nil {
		return nil, err
	}
	for skip := index % 256; ; skip-- {
		if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
			return nil, fmt.Errorf("the bundle is short")
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		if skip == 0 {
			return data[2:end], nil
		}
		data = data[end:]
	}
}

func check(url, vkey string, index int64) error {
	tree, err := checkpoint(url, vkey)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	data, err := entry(url, index, tree.N)
	if err != nil {
		return fmt.Errorf("entry: %w", err)
	}
	reader := tlog.TileHashReader(tree, tiles{url})
	proof, err := tlog.ProveRecord(tree.N, index, reader)
	if err != nil {
		return fmt.Errorf("tiles: %w", err)
	}
	if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(data)); err != nil {
		return fmt.Errorf("inclusion: %w", err)
	}
	fmt.Printf("entry %d of %d\n", index, tree.N)
	return nil
}

func main() {
	index, err := strconv.ParseInt(os.Args[3], 10, 64)
	if err == nil {
		err = check(os.Args[1], os.Args[2], index)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
