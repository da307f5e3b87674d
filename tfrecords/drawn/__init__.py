"""The renderer of the people that `tfrecords.synthetic` draws."""
