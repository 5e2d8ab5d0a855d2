package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// CheckAWS says which of the files that the AWS SDK reads by itself, or of these,
// cannot be read; one that is not there is none.
func CheckAWS(files ...string) error {
	files = append(slices.Clone(files),
		os.Getenv("AWS_CONFIG_FILE"), os.Getenv("AWS_SHARED_CREDENTIALS_FILE"),
		os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE"), os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
		os.Getenv("AWS_CA_BUNDLE"),
	)
	if home, err := os.UserHomeDir(); err == nil {
		files = append(files, filepath.Join(home, ".aws", "config"), filepath.Join(home, ".aws", "credentials"))
	}
	for _, file := range files {
		if file == "" {
			continue
		}
		if _, err := Read(file, MaxSecret); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s %w", file, err)
		}
	}
	return nil
}
