import { Column, Entity, PrimaryGeneratedColumn } from 'typeorm';

/** The application's own table: nothing of it is the queue's business. */
@Entity('orders')
export class Order {
  @PrimaryGeneratedColumn() id: number;
  @Column({ type: 'text' }) item: string;
  @Column({ type: 'boolean', default: false }) shipped: boolean;
}
