package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
)

// user is nobody's: what needs root says so in its pod.
const user = "65532:65532"

// folders of the image. In tmp every user may write, and nobody may remove what is another's.
var folders = []tar.Header{
	{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755},
	{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777},
}

// writeImage packs a program of one file and further names of it into an image archive, in the layout that `docker save`
// writes. The same program makes the same bytes. Without arguments, the image runs the first name.
func writeImage(arguments []string) error {
	if len(arguments) < 4 {
		return errors.New("give a tag, a file, a program, and at least one name for it")
	}
	tag, file, program, names := arguments[0], arguments[1], arguments[2], arguments[3:]
	layer, err := packLayer(program, names)
	if err != nil {
		return err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH,
		"os":           "linux",
		"config":       map[string]any{"Cmd": []string{"/" + names[0]}, "User": user},
		"rootfs": map[string]any{
			"type":     "layers",
			"diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))},
		},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{
		{"Config": "config.json", "RepoTags": []string{tag}, "Layers": []string{"layer.tar"}},
	})
	if err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	archive := tar.NewWriter(out)
	for _, part := range []struct {
		name    string
		content []byte
	}{{"manifest.json", manifest}, {"config.json", config}, {"layer.tar", layer}} {
		if err := add(archive, part.name, 0o644, part.content); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return out.Close()
}

// packLayer makes the file system: the program by its first name, and links to that.
func packLayer(program string, names []string) ([]byte, error) {
	content, err := os.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var buffer bytes.Buffer
	archive := tar.NewWriter(&buffer)
	for _, folder := range folders {
		if err := archive.WriteHeader(&folder); err != nil {
			return nil, err
		}
	}
	if err := add(archive, names[0], 0o755, content); err != nil {
		return nil, err
	}
	for _, name := range names[1:] {
		header := &tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: "/" + names[0], Mode: 0o777}
		if err := archive.WriteHeader(header); err != nil {
			return nil, err
		}
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	return buffer.Bytes(), nil
}

func add(archive *tar.Writer, name string, mode int64, content []byte) error {
	header := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: mode, Size: int64(len(content))}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(archive, bytes.NewReader(content))
	return err
}
