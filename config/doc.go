// Package config turns files, environment and flags into one validated configuration.
package config
