-- Each firing moves its schedule on: room in the page for the new row spares the indexes.
ALTER TABLE schedules SET (fillfactor = 75);
