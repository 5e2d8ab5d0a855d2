package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect"
	"github.com/kafka-connect-exporter/kafka-connect-exporter/connect/internal/beside"
)

// plugins are what connector plugins say of their settings, asked for only where
// settings are shown: those of type PASSWORD never are (GET
// /connector-plugins/{class}/config, KIP-769, Kafka 3.2).
type plugins struct {
	ask     beside.Ask
	byClass map[string]plugin
}

type plugin struct {
	// passwords are the wanted keys that are of that type.
	passwords []string
	had       time.Time
}

// pluginMaxAge is how old that may be: a plugin can be exchanged.
const pluginMaxAge = time.Hour

// want asks for the plugins of classes that are not known, and tells whether it
// does.
func (p *plugins) want(o *Observer) bool {
	if len(o.decoding.labels) == 0 || o.options.Dialect.NoRoot {
		return false
	}
	now := o.now()
	wanted, seen := []string(nil), map[string]struct{}{}
	for _, k := range o.infos.byName {
		if _, twice := seen[k.class]; twice || k.class == "" {
			continue
		}
		seen[k.class] = struct{}{}
		if known, ok := p.byClass[k.class]; !ok || now.Sub(known.had) >= pluginMaxAge {
			wanted = append(wanted, k.class)
		}
	}
	if len(wanted) == 0 || !p.ask.Due(now) {
		return false
	}
	p.ask.Start(o.background, func(ctx context.Context) (func(), time.Duration, error) {
		found, firstErr := map[string]plugin{}, error(nil)
		for _, class := range wanted {
			passwords, err := o.passwords(ctx, class)
			if err != nil {
				firstErr = err
				if errors.Is(err, connect.Timeout) {
					break
				}
				continue
			}
			found[class] = plugin{passwords: passwords, had: now}
		}
		return func() {
			if p.byClass == nil {
				p.byClass = map[string]plugin{}
			}
			for class, known := range found {
				p.byClass[class] = known
				o.infos.changed = true
			}
		}, 0, firstErr
	})
	return true
}

// passwords returns which of the wanted keys a class has as passwords.
func (o *Observer) passwords(ctx context.Context, class string) (keys []string, err error) {
	err = o.client.do(ctx, call{endpoint: "plugin", path: "/connector-plugins/" + escape(class) + "/config", decode: func(r io.Reader) error {
		keys = nil
		d := newDecoder(r, newInterner(), o.decoding)
		return d.whole(func() error {
			if kind := d.json.PeekKind(); kind != '[' {
				return d.mismatch("an array of settings", kind)
			}
			return d.array(func() error {
				var bad connect.Reason
				var name, kind string
				err := d.object(&bad, keyMembers, func(member int, _ []byte) error {
					switch member {
					case 0:
						return d.textInto(&bad, &name)
					case 1:
						return d.textInto(&bad, &kind)
					}
					return d.json.SkipValue()
				})
				if bad != "" {
					return fmt.Errorf("%w: not a setting", connect.Decode)
				}
				if kind == "PASSWORD" && slices.Contains(o.decoding.labels, name) {
					keys = append(keys, name)
				}
				return err
			})
		})
	}}, o.reports.Report)
	if status, ok := errors.AsType[*statusError](err); ok && status.code == http.StatusNotFound && status.json {
		return nil, nil // a Kafka before 3.2
	}
	return keys, err
}

// shown returns the labels of a connector that may be: none until its plugin is
// known, where it can be asked about.
func (d *draft) shownLabels(c *connect.Connector) []connect.Label {
	if len(c.Labels) == 0 || d.options.Dialect.NoRoot {
		return c.Labels
	}
	known, ok := d.plugins.byClass[c.Class]
	if !ok {
		return nil
	}
	if len(known.passwords) == 0 {
		return c.Labels
	}
	return slices.DeleteFunc(slices.Clone(c.Labels), func(label connect.Label) bool { return slices.Contains(known.passwords, label.Key) })
}
